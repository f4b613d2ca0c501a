import { NEGOTIATION } from '../spec/index.ts';
import type { Camp } from './camps.ts';
import type { EntropyCompute } from './certainty.ts';
import { better, type Option } from './options.ts';

/** A share of liking for one option. */
export interface Preference {
  readonly option: Option;
  /** (0, 1]; the shares of one node add up to 1. */
  readonly share: number;
}

/**
 * One step of p <- (1 - a) p + a (C y^2 / sum y^2 + (1 - C) fallback). An empty `p` counts as all for `start`.
 * Shares come back in order of digest and are not renormalised.
 */
export async function mix(
  p: readonly Preference[],
  camps: readonly Camp[],
  c: number,
  start: Option | null,
  fallback: Option | null,
  compute: EntropyCompute,
): Promise<readonly Preference[]> {
  const before = p.length === 0 && start !== null ? [{ option: start, share: 1 }] : p;
  const inPlay = [...before.map(({ option }) => option), ...camps.map(({ option }) => option), ...(fallback === null ? [] : [fallback])];
  const options = [...new Map(inPlay.map((option) => [option.digest, option])).values()].sort((a, b) => (a.digest < b.digest ? -1 : 1));
  if (options.length === 0) return [];
  const index = new Map(options.map(({ digest }, i) => [digest, i]));
  const at = (option: Option): number => index.get(option.digest) ?? -1;
  const own = new Float32Array(options.length);
  for (const { option, share } of before) own[at(option)] = share;
  const influence = new Float32Array(options.length);
  const squares = camps.reduce((sum, { weight }) => sum + weight ** 2, 0);
  for (const { option, weight } of camps) influence[at(option)] = weight ** 2 / squares;
  const mixed = await compute.entropyStep({ p: own, influence, fallback: fallback === null ? -1 : at(fallback), a: NEGOTIATION.a, c });
  return options.map((option, i) => ({ option, share: mixed.p[i] ?? 0 }));
}

/** Renormalised, without shares below 1e-4, at most 8 of them (the largest), in order of digest. */
export function tidy(p: readonly Preference[]): readonly Preference[] {
  const kept = normalise(p)
    .filter(({ share }) => share >= NEGOTIATION.epsilon)
    .sort((x, y) => y.share - x.share || (better(x.option, y.option) ? -1 : 1))
    .slice(0, NEGOTIATION.keep);
  return normalise(kept).sort((x, y) => (x.option.digest < y.option.digest ? -1 : 1));
}

/** The option with the largest share; among shares within TIE of it, the better one. null when there is none. */
export function favourite(p: readonly Preference[]): Option | null {
  const top = p.reduce((max, { share }) => Math.max(max, share), 0);
  const close = p.filter(({ share }) => share >= top - NEGOTIATION.tie).map(({ option }) => option);
  return close.reduce<Option | null>((best, option) => (best === null || better(option, best) ? option : best), null);
}

function normalise(p: readonly Preference[]): Preference[] {
  const total = p.reduce((sum, { share }) => sum + share, 0);
  return total > 0 ? p.map(({ option, share }) => ({ option, share: share / total })) : [];
}
