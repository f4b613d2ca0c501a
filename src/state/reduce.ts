import { toHex, ZERO_HASH } from '../crypto/hash.ts';
import { EMPTY_ROOT } from '../crypto/merkle.ts';
import {
  type AggregateHeader,
  type DecisionId,
  type Fingerprint,
  type Genesis,
  type Hex,
  type MemberState,
  type SwarmId,
  type SwarmState,
  TRUST_ONE,
} from '../spec/index.ts';
import { nextEventHash } from '../wire/index.ts';
import { grantOpenly, isTrusted, type Roll, settleCommittee, sortedMembers } from './committee.ts';
import { admitJoins, memberOf } from './joins.ts';
import { applyEvidence, applyForks, applyMembership } from './membership.ts';
import { isOpen, modelRootAfter, restoredEpoch, tally } from './motions.ts';
import { eventOf, recordsOf, recordsRootOf } from './records.ts';
import { nextScaleExponent } from './scales.ts';
import type { BlockFacts, Step } from './step.ts';
import { scaleFreeDistances, updateTrust } from './trust.ts';
import { isRefused } from './verdicts.ts';

/** The decision every chain starts from: the swarm id stands for it. */
export const genesisDecision = (swarm: SwarmId): DecisionId => swarm;

/** Before the first block: the founders are members, and voters where their class may. */
export function initialState(genesis: Genesis, swarm: SwarmId, emptyTreeRoot: Hex): SwarmState {
  return {
    epoch: 0,
    decision: genesisDecision(swarm),
    members: evenTrust(sortedMembers(genesis.founders.map((c) => memberOf(c, 0, 'voter')))),
    scaleExponents: genesis.scaleExponents,
    treeSize: 0,
    treeRoot: emptyTreeRoot,
    leavesHash: ZERO_HASH,
    modelRoot: genesis.initialModelRoot,
    invites: [],
    motions: [],
    recordsRoot: toHex(EMPTY_ROOT),
    eventHash: ZERO_HASH,
    refused: false,
  };
}

/**
 * State after `step`. Pure; the same (genesis, steps) gives the same state root on every machine. A provisional step moves
 * trust, scales, plain members and what is behind them; voters, standings, invites, motions, records and events
 * move with a block alone.
 */
export function reduce(genesis: Genesis, swarm: SwarmId, state: SwarmState, step: Step): SwarmState {
  const roll: Roll = new Map(state.members.map((m) => [m.fingerprint, m]));
  const invites = admitJoins(genesis, swarm, state, step, roll);
  const motions = step.block === undefined ? state.motions : settle(genesis, state, step, step.block, roll);
  const refused = isRefused(state, step);
  const restored = restoredEpoch(genesis, state, step);
  const applies = !refused && restored === undefined;
  const members = standings(genesis, state, step, roll, applies);
  const after: SwarmState = {
    epoch: step.body.epoch,
    decision: step.id,
    members,
    scaleExponents: applies ? nextScales(genesis, state, step) : state.scaleExponents,
    treeSize: step.treeSize,
    treeRoot: step.treeRoot,
    leavesHash: step.leavesHash,
    modelRoot: restored !== undefined ? modelRootAfter(genesis, step, restored) : refused ? state.modelRoot : step.modelRoot,
    invites,
    motions,
    recordsRoot: state.recordsRoot,
    eventHash: state.eventHash,
    refused,
  };
  if (step.block === undefined) return after;
  const recordsRoot = recordsRootOf(recordsOf(state, after, step));
  return { ...after, recordsRoot, eventHash: nextEventHash(state.eventHash, eventOf(state, { recordsRoot }, step)) };
}

/** Standings and committee after a block; returns the motions that stay open. */
function settle(genesis: Genesis, state: SwarmState, step: Step, block: BlockFacts, roll: Roll): SwarmState['motions'] {
  const { motions, carried } = tally(state, step);
  applyMembership(roll, step.cut);
  applyForks(roll, step.forked);
  applyEvidence(roll, block.evidence);
  const done = new Set(carried.filter((m) => m.action === 'restore'));
  for (const motion of carried) {
    const member = roll.get(motion.subject ?? '');
    if (motion.action !== 'admit' || member === undefined || !isOpen(motion, roll)) continue;
    roll.set(member.fingerprint, { ...member, vote: 'granted' });
  }
  grantOpenly(genesis, roll);
  settleCommittee(
    roll,
    carried.flatMap((m) => (m.action === 'remove' && m.subject !== null ? [m.subject] : [])),
  );
  // A removal that would leave two stays open until a newcomer makes it possible, or it lapses.
  return motions.filter((m) => !done.has(m) && isOpen(m, roll));
}

/** Members with the last epoch they contributed to and their trust. What is not applied moves no trust, except to and from who comes and goes. */
function standings(genesis: Genesis, state: SwarmState, step: Step, roll: Roll, applies: boolean): MemberState[] {
  const authors = new Set(step.contributions.map((c) => c.author));
  const present = sortedMembers(roll.values()).map((m) => (authors.has(m.fingerprint) ? { ...m, lastEpoch: step.body.epoch } : m));
  if (applies && step.header !== undefined) {
    return updateTrust(present, distancesIn(step, step.header), genesis.lambda, new Set(step.faulty));
  }
  const trusted = (members: readonly MemberState[]): string =>
    members
      .filter(isTrusted)
      .map((m) => m.fingerprint)
      .join();
  return trusted(present) === trusted(state.members) ? present : updateTrust(present, new Map(), genesis.lambda);
}

/** By author; where nobody saw the rows, every survivor counts as one that is where the others are. */
function distancesIn({ contributions }: Step, { distances, opening }: AggregateHeader): Map<Fingerprint, number | undefined> {
  const xs = opening === null || distances.length > 0 ? scaleFreeDistances(distances.map(BigInt)) : contributions.map(() => 0);
  return new Map(contributions.map((c, i) => [c.author, xs[i]]));
}

const nextScales = (genesis: Genesis, state: SwarmState, { contributions }: Step): number[] =>
  state.scaleExponents.map((e, t) =>
    nextScaleExponent(
      e,
      contributions.map((c) => c.body.maxAbs[t] ?? 0),
      genesis.updateDtype,
    ),
  );

const evenTrust = (members: MemberState[]): MemberState[] => members.map((m) => ({ ...m, trust: Math.round(TRUST_ONE / members.length) }));
