export { Exchanges } from './exchanges.ts';
export type { Averaged } from './session.ts';
