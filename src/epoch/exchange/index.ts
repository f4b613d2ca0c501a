export { Exchanges } from './exchanges.ts';
export type { Averaged, AverageJob } from './job.ts';
export type { ExchangeWorld } from './world.ts';
