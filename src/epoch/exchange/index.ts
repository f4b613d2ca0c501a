export { Exchanges } from './exchanges.ts';
export type { Averaged, AverageJob } from './job.ts';
export type { ExchangeWorld, OwnRow } from './world.ts';
