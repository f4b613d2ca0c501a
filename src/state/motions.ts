import { type EntryOf, isKind } from '../ledger/index.ts';
import { type ContentRoot, type Fingerprint, type Genesis, holdsSeat, type Motion, StarlingError, type SwarmState } from '../spec/index.ts';
import { type Roll, votersOf } from './committee.ts';
import { quorumOf } from './quorum.ts';
import type { Step } from './step.ts';

/** Epochs after its first ballot in which a motion can find its quorum; a ballot that is older when it enters a cut is not counted. */
export const MOTION_EPOCHS = 64;
/** Open motions that one voter can support at a time; its further ballots are not counted. Bounds the state by 16 voices a voter. */
export const MAX_VOICES = 16;

export interface Tally {
  /** Motions with their voices up to and including this cut, sorted. */
  readonly motions: readonly Motion[];
  /** Those of them that q voters of the committee before this block support. */
  readonly carried: readonly Motion[];
}

/** Adds the ballots of a block's cut to the open motions. One voice a voter and motion; only voters of the committee before it count. */
export function tally(state: SwarmState, step: Step): Tally {
  const voters = new Set(votersOf(state));
  const motions = new Map<string, Motion>();
  const voices = new Map<Fingerprint, number>();
  for (const motion of state.motions) {
    const ayes = motion.ayes.filter((f) => voters.has(f));
    if (ayes.length === 0 || step.body.epoch - motion.opened > MOTION_EPOCHS) continue;
    for (const f of ayes) voices.set(f, (voices.get(f) ?? 0) + 1);
    motions.set(keyOf(motion), { ...motion, ayes });
  }
  for (const entry of step.cut) {
    if (!isKind(entry, 'ballot') || !voters.has(entry.core.author) || !isTimely(entry, step.body.epoch)) continue;
    const { author, body } = entry.core;
    const motion = motions.get(keyOf(body)) ?? { ...body, opened: step.body.epoch, ayes: [] };
    const spoken = voices.get(author) ?? 0;
    if (motion.ayes.includes(author) || spoken >= MAX_VOICES) continue;
    voices.set(author, spoken + 1);
    motions.set(keyOf(body), { ...motion, ayes: [...motion.ayes, author].sort() });
  }
  const sorted = [...motions.values()].sort(compareMotions);
  return { motions: sorted, carried: sorted.filter((m) => m.ayes.length >= quorumOf(voters.size)) };
}

/** A partition's late ballots speak of a past that is over, and nobody speaks of what is to come. */
function isTimely(entry: EntryOf<'ballot'>, epoch: number): boolean {
  const { epochSeen, body } = entry.core;
  const said = body.action === 'restore' ? epochSeen : body.epoch;
  return body.epoch < epoch && said < epoch && epoch - said <= MOTION_EPOCHS && (body.subject === null) === (body.action === 'restore');
}

/** The same motion: who to admit or remove does not depend on what an author knew; what to restore is an epoch. */
const keyOf = ({ action, subject, epoch }: Pick<Motion, 'action' | 'subject' | 'epoch'>): string =>
  action === 'restore' ? `${action}/${epoch}` : `${action}/${subject}`;

const compareMotions = (a: Motion, b: Motion): number =>
  compareText(a.action, b.action) || compareText(a.subject ?? '', b.subject ?? '') || a.epoch - b.epoch;
const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** Whether a motion can still change something. */
export function isOpen(motion: Motion, roll: Roll): boolean {
  if (motion.action === 'restore') return true;
  const member = roll.get(motion.subject as Fingerprint);
  if (member === undefined) return false;
  if (motion.action === 'remove') return member.vote === 'voter';
  return member.vote === 'none' && holdsSeat(member.nodeClass) && member.status !== 'left' && member.status !== 'expelled';
}

/**
 * The epoch whose model comes back with this step; undefined in most. Of several that carry at once the oldest, which no
 * voter of the others has found good either. Throws NOT_FOUND where the root of that model is not known here.
 */
export function restoredEpoch(genesis: Genesis, state: SwarmState, step: Step): number | undefined {
  if (step.block === undefined) return undefined;
  const epochs = tally(state, step).carried.flatMap((m) => (m.action === 'restore' ? [m.epoch] : []));
  if (epochs.length === 0) return undefined;
  const epoch = Math.min(...epochs);
  modelRootAfter(genesis, step, epoch);
  return epoch;
}

export function modelRootAfter(genesis: Genesis, step: Step, epoch: number): ContentRoot {
  const root = epoch === 0 ? genesis.initialModelRoot : step.modelRootAt(epoch);
  if (root === undefined)
    throw new StarlingError('NOT_FOUND', `the committee restores the model of epoch ${epoch}, whose block is not here`, {
      field: 'modelRoot',
      phase: 'apply',
      fix: 'fetch the blocks before this node began and try again',
    });
  return root;
}
