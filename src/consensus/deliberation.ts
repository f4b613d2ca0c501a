import type { EntryId, Fingerprint, Hex } from '../spec/index.ts';
import type { Tally } from './attestations.ts';
import { concentration, gate, headcount } from './camps.ts';
import { certainty, type EntropyCompute } from './certainty.ts';
import type { Option } from './options.ts';
import { favourite, mix, type Preference, tidy } from './preferences.ts';
import { PROBABILITY_ONE, type StanceView, type Voice } from './stances.ts';

/** Certainty a node must have reached to stop (PROTOCOL section 5). */
const STOP_CERTAINTY = 0.5;

/** What a node thinks at one moment. */
export interface Position {
  /** `ex`: the option it stands on, which it holds. null before it has one. */
  readonly choice: Option | null;
  /** `p`: empty before there is anything to prefer, or when nothing it knows of is valid and held. */
  readonly preferences: readonly Preference[];
  /** cert(p). */
  readonly certainty: number;
}

/** What it takes into account at one tick. */
export interface Hearing {
  readonly tally: Tally;
  /** W. */
  readonly seats: number;
  /** Whether this node has one of the seats: otherwise its own voice is not counted. */
  readonly votes: boolean;
  /** The voices of the others. */
  readonly heard: readonly Voice[];
  readonly held: ReadonlySet<EntryId>;
}

/** Stands on `option` and nothing else. */
export const resolute = (option: Option): Position => ({ choice: option, preferences: [{ option, share: 1 }], certainty: 1 });

/**
 * One tick of PROTOCOL section 5. `agreed`: more than two thirds of the seats, this one as it stands now among
 * them, are on the choice, and this node is certain enough of it. What is valid and held is judged before anything
 * is awaited: messages that come in meanwhile wait for the next tick.
 */
export async function reconsider(
  position: Position,
  hearing: Hearing,
  compute: EntropyCompute,
): Promise<{ readonly position: Position; readonly agreed: boolean }> {
  const { tally, seats, votes, heard } = hearing;
  const sound = soundOptions(position, hearing);
  const isSound = ({ option }: { readonly option: Option }): boolean => sound.has(option.digest);
  const candidate = [tally.derived, position.choice].find((option) => option !== null && sound.has(option.digest)) ?? null;
  const others = heard.filter(isSound);
  const own = votes ? ownVoice(position).filter(isSound) : [];

  const camps = await gate([...own, ...others], seats, compute);
  const c = await concentration(camps, seats, compute);
  const mixed = await mix(position.preferences, camps, c, candidate, candidate ?? position.choice, compute);
  const kept = tidy(mixed.filter(isSound));
  const preferences = kept.length === 0 && candidate !== null ? [{ option: candidate, share: 1 }] : kept;
  const certain = await certainty(shares(preferences), compute);
  const choice = favourite(preferences) ?? position.choice;

  const agreeing = choice === null ? 0 : (headcount(others).get(choice.digest) ?? 0) + (votes ? 1 : 0);
  const agreed = preferences.length > 0 && 3 * agreeing > 2 * seats && certain >= STOP_CERTAINTY;
  return { position: { choice, preferences, certainty: certain }, agreed };
}

/** The stance that tells others of a position on `choice`. */
export function stanceOf(node: Fingerprint, seq: number, choice: Option, preferences: readonly Preference[]): StanceView {
  const prefs = preferences.map(({ option, share }) => [option.digest, Math.round(share * PROBABILITY_ONE)] as const);
  return { node, seq, option: choice.digest, optionIds: choice.ids, prefs };
}

/** The options in play that are valid and held completely. */
function soundOptions({ choice, preferences }: Position, { tally, heard, held }: Hearing): ReadonlySet<Hex> {
  const inPlay = [...heard, ...preferences].map(({ option }) => option).concat(tally.derived, choice ?? []);
  const sound = new Set<Hex>();
  for (const [digest, option] of new Map(inPlay.map((option) => [option.digest, option])))
    if (option.ids.every((id) => held.has(id)) && tally.valid(option)) sound.add(digest);
  return sound;
}

const ownVoice = ({ choice, preferences, certainty }: Position): Voice[] =>
  choice === null ? [] : [{ option: choice, prefs: shares(preferences), certainty }];

const shares = (p: readonly Preference[]): number[] => p.map(({ share }) => share);
