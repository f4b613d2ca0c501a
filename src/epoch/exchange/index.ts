export { Exchanges } from './exchanges.ts';
export type { Averaged, AverageJob } from './session.ts';
