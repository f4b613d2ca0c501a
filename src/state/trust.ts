import { EMA_ONE, FAR_EPOCHS, FAR_X, type Fingerprint, type MemberState, TRUST_ONE } from '../spec/index.ts';
import { expNegative } from './exp.ts';

/** Share of the newest x in the moving average: a quarter, so that four epochs of good work outweigh one bad. */
const EMA_RATE = 0.25;
/** x is capped here: exp(-lambda * 64) is nothing already, and the cap lets a poisoner who reforms recover. */
const MAX_X = 64;

/**
 * Scale-free distance (PROTOCOL section 8): x = max(0, Delta / median Delta - 2), 0 when the median is 0.
 * `distances` exact, one a contribution; the median of an even count is the mean of the middle two.
 */
export function scaleFreeDistances(distances: readonly bigint[]): number[] {
  if (distances.length === 0) return [];
  const sorted = [...distances].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  const mid = sorted.length >> 1;
  const twice = sorted.length % 2 === 1 ? 2n * (sorted[mid] as bigint) : (sorted[mid] as bigint) + (sorted[mid - 1] as bigint);
  if (twice === 0n) return distances.map(() => 0);
  return distances.map((d) => Math.min(MAX_X, Math.max(0, (2 * Number(d)) / Number(twice) - 2)));
}

/** Trust after an epoch: only members whose contribution was in the roster move (`x` by fingerprint). */
export function updateTrust(members: readonly MemberState[], x: ReadonlyMap<Fingerprint, number>, lambda: number): MemberState[] {
  const moved = members.map((m) => {
    const far = x.get(m.fingerprint);
    if (far === undefined) return m;
    const ema = m.emaX / EMA_ONE;
    return { ...m, emaX: Math.round((ema + EMA_RATE * (far - ema)) * EMA_ONE), farStreak: far > FAR_X ? m.farStreak + 1 : 0 };
  });
  const shares = trustShares(
    moved.map((m) => ({ x: m.emaX / EMA_ONE, floored: m.farStreak < FAR_EPOCHS })),
    lambda,
  );
  return moved.map((m, i) => ({ ...m, trust: shares[i] as number }));
}

/**
 * exp(-lambda x_i) / sum exp(-lambda x_j) in fixed point. Whoever is `floored` keeps at least a quarter of uniform:
 * those below it are set to it and the others share the rest, repeated until nobody else falls below.
 */
export function trustShares(nodes: readonly { readonly x: number; readonly floored: boolean }[], lambda: number): number[] {
  const n = nodes.length;
  const raw = nodes.map((node) => expNegative(-lambda * node.x));
  const floor = 0.25 / n;
  const lifted = new Set<number>();
  for (;;) {
    let free = 0;
    for (let i = 0; i < n; i++) if (!lifted.has(i)) free += raw[i] as number;
    const rest = 1 - lifted.size * floor;
    const below = nodes.findIndex(
      (node, i) => !lifted.has(i) && node.floored && (free === 0 ? 0 : ((raw[i] as number) * rest) / free) < floor,
    );
    if (below < 0) {
      return nodes.map((_, i) => Math.round((lifted.has(i) ? floor : free === 0 ? 0 : ((raw[i] as number) * rest) / free) * TRUST_ONE));
    }
    lifted.add(below);
  }
}
