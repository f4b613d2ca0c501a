import type { IntRow } from '../../compute/api.ts';

/** What an encoding leaves behind: prepared - sent, exact. int32: two int16 can differ by more than int16 holds. */
export const leftOver = (prepared: IntRow, sent: IntRow): Int32Array =>
  new Int32Array(prepared.length).map((_, k) => (prepared[k] as number) - (sent[k] as number));
