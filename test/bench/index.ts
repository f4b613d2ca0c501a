import type { BenchRow } from './row.ts';

/** Every bench by name; a module loads when it runs. */
export const BENCHES: Readonly<Record<string, () => Promise<{ rows(): Promise<BenchRow[]> }>>> = {
  kernels: () => import('./kernels.ts'),
  commitments: () => import('./commitments.ts'),
  roster: () => import('./roster.ts'),
  ledger: () => import('./ledger.ts'),
  reconcile: () => import('./reconcile.ts'),
  growth: () => import('./growth.ts'),
  scaling: () => import('./scaling.ts'),
  gossip: () => import('./gossip.ts'),
  flow: () => import('./flow.ts'),
  allreduce: () => import('./allreduce.ts'),
  rules: () => import('./rules.ts'),
  epoch: () => import('./epoch.ts'),
  finality: () => import('./finality.ts'),
  start: () => import('./start.ts'),
  memory: () => import('./memory.ts'),
  encodings: () => import('./encodings.ts'),
};
