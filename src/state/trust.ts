import { EMA_ONE, FAR_EPOCHS, FAR_X, type Fingerprint, type MemberState, TRUST_ONE } from '../spec/index.ts';
import { isTrusted } from './committee.ts';
import { expNegative } from './exp.ts';
import { twiceMedian } from './median.ts';

/** Share of the newest x in the moving average: a quarter, so that four epochs of good work outweigh one bad. */
const EMA_RATE = 0.25;
/** x is capped here: exp(-lambda * 64) is nothing already, and the cap lets a poisoner who reforms recover. */
const MAX_X = 64;

/**
 * Scale-free distance (PROTOCOL section 8): x = max(0, Delta / median Delta - 2). `distances` exact, one a contribution;
 * the median of an even count is the mean of the middle two. A distance of 0 is that of a row that did not move the
 * model: it is left out of the median and has no x, unless all are 0.
 */
export function scaleFreeDistances(distances: readonly bigint[]): (number | undefined)[] {
  const twice = twiceMedian(distances.filter((d) => d > 0n));
  if (twice === 0n) return distances.map(() => 0);
  return distances.map((d) => (d === 0n ? undefined : Math.min(MAX_X, Math.max(0, (2 * Number(d)) / Number(twice) - 2))));
}

/**
 * Trust after an epoch. `x` of the authors in the sum; undefined for those whose contribution did not move the model:
 * their average of x stays, and they are trusted no more than those who did are on average. Who left or was expelled has 0.
 */
export function updateTrust(
  members: readonly MemberState[],
  x: ReadonlyMap<Fingerprint, number | undefined>,
  lambda: number,
  faulty: ReadonlySet<Fingerprint> = new Set(),
): MemberState[] {
  const moved = members.map((m) => {
    // An integrity fault lifts the floor at once, and counts as far as anything can.
    if (faulty.has(m.fingerprint)) return { ...m, emaX: averaged(m, MAX_X), farStreak: FAR_EPOCHS };
    const far = x.get(m.fingerprint);
    if (far === undefined) return m;
    return { ...m, emaX: averaged(m, far), farStreak: far > FAR_X ? m.farStreak + 1 : 0 };
  });
  const still = (m: MemberState): boolean => x.has(m.fingerprint) && x.get(m.fingerprint) === undefined;
  const trusted = moved.filter(isTrusted);
  const shares = trustShares(
    trusted.map((m) => ({ x: m.emaX / EMA_ONE, floored: m.farStreak < FAR_EPOCHS, still: still(m) })),
    lambda,
  );
  const shareOf = new Map(trusted.map((m, i) => [m.fingerprint, shares[i] as number]));
  return moved.map((m) => ({ ...m, trust: shareOf.get(m.fingerprint) ?? 0 }));
}

/** The moving average with one more x, fixed point. */
function averaged(member: MemberState, x: number): number {
  const ema = member.emaX / EMA_ONE;
  return Math.round((ema + EMA_RATE * (x - ema)) * EMA_ONE);
}

export interface Standing {
  /** Moving average of the scale-free distance. */
  readonly x: number;
  /** Keeps at least a quarter of uniform. */
  readonly floored: boolean;
  /** Did not move the model: trusted at most as the average of those who did. */
  readonly still: boolean;
}

/**
 * exp(-lambda x_i) / sum exp(-lambda x_j) in fixed point. Whoever is `floored` keeps at least a quarter of uniform:
 * those below it are set to it and the others share the rest, repeated until nobody else falls below.
 */
export function trustShares(nodes: readonly Standing[], lambda: number): number[] {
  const n = nodes.length;
  const raw = capStill(
    nodes,
    nodes.map((node) => expNegative(-lambda * node.x)),
  );
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

/** No more than the mean of the others: alone it comes to uniform at most once divided by the sum. */
function capStill(nodes: readonly Standing[], raw: readonly number[]): number[] {
  const moving = raw.filter((_, i) => nodes[i]?.still === false);
  const mean = moving.reduce((a, b) => a + b, 0) / moving.length;
  // Nobody moved it, or only those whom nobody trusts: there is nothing to be measured against.
  if (!(mean > 0)) return [...raw];
  return raw.map((value, i) => (nodes[i]?.still === true ? Math.min(value, mean) : value));
}
