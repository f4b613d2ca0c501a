import type { EpochView } from '../../src/api/service.ts';
import type { BenchRow } from './row.ts';
import { quantile } from './samples.ts';

/** Ms beside three network delays within which half of the blocks should be final: the check of a block and its commits. */
const ALLOWANCE_MS = 100;

/** What finality is aimed at where a message takes `delayMs` one way. */
const aimMs = (delayMs: number): number => 3 * delayMs + ALLOWANCE_MS;

export const finalityRow = (what: string, value: number, unit: string, baseline: string, ratio: number, n: number): BenchRow => ({
  bench: 'finality',
  case: what,
  value,
  unit,
  baseline,
  ratio,
  n,
});

/** p50 and p99 of these ms against the aim. */
export const againstAim = (what: string, samples: readonly number[], delayMs: number): BenchRow[] =>
  [0.5, 0.99].map((q) => {
    const value = quantile(samples, q);
    const baseline = `3 delays of ${delayMs.toFixed(1)} ms + ${ALLOWANCE_MS} ms`;
    return finalityRow(`${what} p${100 * q}`, value, 'ms', baseline, value / aimMs(delayMs), samples.length);
  });

/** p50 and p99 of these ms against those of something simpler. */
export const againstOther = (what: string, samples: readonly number[], baseline: string, others: readonly number[]): BenchRow[] =>
  [0.5, 0.99].map((q) => {
    const value = quantile(samples, q);
    return finalityRow(`${what} p${100 * q}`, value, 'ms', baseline, value / quantile(others, q), samples.length);
  });

/**
 * What the timelines of final epochs say: from the first proposal to the block applied, and from the last contribution held
 * (the freeze of the roster) to there, with its parts. A node that took the block from others has no such steps.
 */
export function timelineRows(timelines: readonly EpochView['timeline'][], where: string, delayMs: number): BenchRow[] {
  const parts = { proposed: [] as number[], held: [] as number[], settling: [] as number[], proposing: [] as number[] };
  for (const marks of timelines) {
    const [freeze, average] = ['roster', 'average'].map((step) => marks.findLast((mark) => mark.step === step));
    const final = marks.findLast(({ step, tookMs }) => step === 'finalise' && tookMs !== undefined);
    if (final?.tookMs === undefined) continue;
    parts.proposed.push(final.tookMs);
    if (freeze === undefined || average === undefined) continue;
    parts.held.push(final.atMs + final.tookMs - freeze.atMs);
    parts.settling.push(average.atMs - freeze.atMs);
    parts.proposing.push(final.atMs - average.atMs);
  }
  return [
    ...againstAim(`first proposal to applied, ${where}`, parts.proposed, delayMs),
    ...againstAim(`last contribution held to applied, ${where}`, parts.held, delayMs),
    ...againstAim(`  of that the negotiation, ${where}`, parts.settling, delayMs),
    ...againstAim(`  of that average, verdict and proposal, ${where}`, parts.proposing, delayMs),
  ];
}
