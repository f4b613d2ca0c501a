import { ATTACKS } from '../support/rosterLiars.ts';
import { mostLiars, negotiate, type Result } from '../support/rosterWorld.ts';
import type { BenchRow } from './row.ts';
import { median, quantile } from './samples.ts';

/** Nodes and simulated runs: a second or so each. */
const SIZES = [
  [4, 100],
  [10, 40],
  [25, 10],
] as const;

/** Virtual ms from the freeze to the last honest stop, and the share of runs that end in one roster, by size and attack. */
export async function rows(): Promise<BenchRow[]> {
  const measured: BenchRow[] = [];
  for (const [nodes, n] of SIZES) {
    let calm = Number.NaN;
    for (const attack of ['none', 'silent', ...ATTACKS] as const) {
      const results: Result[] = [];
      for (let seed = 1; seed <= n; seed++)
        results.push(await negotiate({ nodes, seed, attack, liars: attack === 'none' ? 0 : mostLiars(nodes) }));
      const stops = results.map(({ lastMs }) => lastMs);
      if (attack === 'none') calm = median(stops);
      const row = (what: string, value: number, unit: string, baseline: string, ratio: number): void =>
        void measured.push({ bench: 'roster', case: `${what}, ${nodes} nodes, ${attack}`, value, unit, baseline, ratio, n });
      for (const [name, q] of [
        ['p50', 0.5],
        ['p99', 0.99],
      ] as const)
        row(`stop ${name}`, quantile(stops, q), 'virtual ms', 'p50 without liars', quantile(stops, q) / calm);
      const agreed = results.filter(({ endings }) => new Set(endings.map(({ last }) => last)).size === 1).length / n;
      row('one roster', agreed, 'share', 'every run', agreed);
    }
  }
  return measured;
}
