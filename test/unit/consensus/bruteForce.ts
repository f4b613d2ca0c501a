/**
 * PROTOCOL section 5 written down once more, as plainly as possible and in f64: entries are bits, options bit masks.
 * One node with a seat, after the freeze, once enough seats have attested.
 */
export interface BruteStance {
  readonly option: number;
  readonly prefs: readonly (readonly [option: number, weight: number])[];
}

export interface BruteState {
  p: Map<number, number>;
  ex: number | null;
  /** Whether f32 or a tie could decide otherwise in this tick. */
  close: boolean;
}

export interface BruteWorld {
  readonly seats: number;
  readonly entries: number;
  readonly held: number;
  /** One mask for each seat that has attested. */
  readonly attested: readonly number[];
  /** Latest stances of the others. */
  readonly stances: readonly BruteStance[];
  readonly better: (a: number, b: number) => boolean;
}

export function bruteTick(state: BruteState, world: BruteWorld): BruteState {
  const { seats: W, entries, held, attested, stances, better } = world;
  const all = Array.from({ length: entries }, (_, x) => x);
  const w = all.map((x) => attested.filter((mask) => mask & (1 << x)).length);
  const derived = all.reduce((mask, x) => ((w[x] as number) > W / 3 ? mask | (1 << x) : mask), 0);
  const isHeld = (o: number): boolean => (o & ~held) === 0;
  const valid = (o: number): boolean =>
    o === derived || all.every((x) => (o & (1 << x) ? (w[x] as number) > W / 3 : (w[x] as number) <= (2 * W) / 3));
  const good = (o: number): boolean => isHeld(o) && valid(o);
  const cand = isHeld(derived) ? derived : state.ex !== null && good(state.ex) ? state.ex : null;

  const raw = new Map<number, number>();
  const T = new Map<number, number>();
  const self: BruteStance[] = state.ex === null ? [] : [{ option: state.ex, prefs: [...state.p] }];
  for (const s of [...self, ...stances].filter((s) => good(s.option))) {
    raw.set(s.option, (raw.get(s.option) ?? 0) + 1);
    T.set(s.option, (T.get(s.option) ?? 0) + 0.5 + 0.5 * cert(s.prefs.map(([, x]) => x)));
  }
  const I = [...raw].filter(([, n]) => n > W / 3).map(([k]) => k);
  const sum = I.reduce((total, k) => total + (T.get(k) as number), 0);
  const y = new Map(I.map((k) => [k, (T.get(k) as number) / sum]));
  const b = Math.max(0, ...I.map((k) => raw.get(k) as number)) / W;
  const C = I.length === 0 ? 0 : cert([...y.values()]) * Math.min(1, Math.max(0, 6 * b - 3));

  const p = new Map<number, number>();
  if (state.p.size === 0 && cand !== null) p.set(cand, 0.5);
  else for (const [k, x] of state.p) p.set(k, 0.5 * x);
  const squares = [...y.values()].reduce((total, x) => total + x * x, 0);
  for (const [k, x] of y) p.set(k, (p.get(k) ?? 0) + (0.5 * C * x * x) / squares);
  const rest = cand ?? state.ex;
  if (rest !== null) p.set(rest, (p.get(rest) ?? 0) + 0.5 * (1 - C));
  let kept = normalised([...p].filter(([k]) => good(k)));
  let close = kept.some(([, x]) => Math.abs(x - 1e-4) < 1e-6);
  kept = normalised(kept.filter(([, x]) => x >= 1e-4)).sort((m, n) => n[1] - m[1]);
  if (kept.length === 0 && cand !== null) kept = [[cand, 1]];
  const top = kept[0]?.[1] ?? 0;
  close ||= kept.some(([, x]) => Math.abs(top - x - 0.05) < 1e-6);
  const ties = kept.filter(([, x]) => top - x <= 0.05).map(([k]) => k);
  const ex = ties.length === 0 ? state.ex : ties.reduce((best, k) => (better(k, best) ? k : best));
  return { p: new Map(kept), ex, close };
}

function normalised(p: readonly (readonly [number, number])[]): [number, number][] {
  const total = p.reduce((sum, [, x]) => sum + x, 0);
  return total > 0 ? p.map(([k, x]) => [k, x / total]) : [];
}

function cert(weights: readonly number[]): number {
  const positive = weights.filter((x) => x > 0);
  if (positive.length < 2) return 1;
  const total = positive.reduce((sum, x) => sum + x, 0);
  return 1 - positive.reduce((h, x) => h - (x / total) * Math.log(x / total), 0) / Math.log(positive.length);
}
