import { type Hex, NEGOTIATION } from '../spec/index.ts';
import { certainty, clamp, type EntropyCompute } from './certainty.ts';
import type { Option } from './options.ts';
import type { Voice } from './stances.ts';

/** The seats that stand on one option. */
export interface Camp {
  readonly option: Option;
  /** raw: how many they are. */
  readonly size: number;
  /** T: the sum of c0 + (1 - c0) cert over them. */
  readonly weight: number;
}

/** raw: how many of `voices` stand on each option. */
export function headcount(voices: readonly Voice[]): ReadonlyMap<Hex, number> {
  const raw = new Map<Hex, number>();
  for (const { option } of voices) raw.set(option.digest, (raw.get(option.digest) ?? 0) + 1);
  return raw;
}

/**
 * The gate: the camps of more than a third of the `seats`, so of at least one honest node, and at most two. Fewer
 * than a third cannot pull anyone, however certain they claim to be. In order of digest.
 */
export async function gate(voices: readonly Voice[], seats: number, compute: EntropyCompute): Promise<readonly Camp[]> {
  const raw = headcount(voices);
  const passed = new Map<Hex, Voice[]>();
  for (const voice of voices) {
    const { digest } = voice.option;
    if (3 * (raw.get(digest) ?? 0) > seats) passed.set(digest, [...(passed.get(digest) ?? []), voice]);
  }
  const camps = [...passed.values()].map(async (members) => {
    const weights = await Promise.all(members.map((voice) => loudness(voice, compute)));
    // Added in ascending order: the sum does not depend on whose message came first.
    const weight = weights.sort((x, y) => x - y).reduce((sum, x) => sum + x, 0);
    return { option: (members[0] as Voice).option, size: members.length, weight };
  });
  return (await Promise.all(camps)).sort((x, y) => (x.option.digest < y.option.digest ? -1 : 1));
}

/**
 * C: how much the camps are listened to. 0 while the largest has at most half the seats, full from two thirds on;
 * less while two of them balance each other.
 */
export async function concentration(camps: readonly Camp[], seats: number, compute: EntropyCompute): Promise<number> {
  if (camps.length === 0) return 0;
  const weights = camps.map(({ weight }) => weight);
  const largest = Math.max(...camps.map(({ size }) => size));
  return (await certainty(weights, compute)) * clamp(6 * (largest / seats) - 3);
}

async function loudness(voice: Voice, compute: EntropyCompute): Promise<number> {
  voice.certainty ??= await certainty(voice.prefs, compute);
  return NEGOTIATION.c0 + (1 - NEGOTIATION.c0) * voice.certainty;
}
