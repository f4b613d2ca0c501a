export { Exchanges } from './exchanges.ts';
export type { Averaged, AverageJob } from './session.ts';
export type { ExchangeWorld, OwnRow } from './world.ts';
