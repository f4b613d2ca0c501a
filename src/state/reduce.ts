import { fromHex, hashWithDomain, toHex } from '../crypto/hash.ts';
import { EMPTY_ROOT } from '../crypto/merkle.ts';
import { fingerprintOf } from '../crypto/signatures.ts';
import {
  type AggregateHeader,
  type ContentRoot,
  type ContributionBody,
  type DecisionBody,
  type DecisionId,
  type Fingerprint,
  type Genesis,
  type Hex,
  holdsSeat,
  type MemberState,
  type NodeCertificate,
  type SignedEntry,
  type SwarmId,
  type SwarmState,
  TRUST_ONE,
  type VoteRight,
} from '../spec/index.ts';
import { encode } from '../wire/cbor.ts';
import { nextScaleExponent } from './scales.ts';
import { scaleFreeDistances, updateTrust } from './trust.ts';

/** One decision with everything a reducer may look at. */
export interface Step {
  readonly id: DecisionId;
  readonly body: DecisionBody;
  /** Undefined when nothing was averaged. */
  readonly header: AggregateHeader | undefined;
  /** Entries of the cut in ledger order, void ones left out. */
  readonly cut: readonly SignedEntry[];
  /** Contributions of the roster, in roster order. */
  readonly contributions: readonly { readonly author: Fingerprint; readonly body: ContributionBody }[];
  readonly treeSize: number;
  readonly treeRoot: Hex;
  readonly modelRoot: ContentRoot;
}

/** The decision every chain starts from: the swarm id stands for it. */
export const genesisDecision = (swarm: SwarmId): DecisionId => swarm;

export function initialState(genesis: Genesis, swarm: SwarmId, emptyTreeRoot: Hex): SwarmState {
  return {
    epoch: 0,
    decision: genesisDecision(swarm),
    members: evenTrust(sorted(genesis.founders.map((c) => memberOf(c, 0, 'voter')))),
    scaleExponents: genesis.scaleExponents,
    treeSize: 0,
    treeRoot: emptyTreeRoot,
    modelRoot: genesis.initialModelRoot,
    invites: [],
    motions: [],
    recordsRoot: toHex(EMPTY_ROOT),
    eventHash: swarm,
    refused: false,
  };
}

/** State after `step`. Pure; the same (genesis, steps) gives the same state root on every machine. */
export function reduce(genesis: Genesis, state: SwarmState, step: Step): SwarmState {
  const members = admit(state, step);
  const lastEpoch = new Set(step.contributions.map((c) => c.author));
  const present = members.map((m) => (lastEpoch.has(m.fingerprint) ? { ...m, lastEpoch: step.body.epoch } : m));
  const xs = scaleFreeDistances((step.header?.distances ?? []).map(BigInt));
  const x = new Map(step.header === undefined ? [] : step.contributions.map((c, i) => [c.author, xs[i]]));
  return {
    epoch: step.body.epoch,
    decision: step.id,
    members: updateTrust(present, x, genesis.lambda),
    scaleExponents: state.scaleExponents.map((e, t) =>
      nextScaleExponent(
        e,
        step.contributions.map((c) => c.body.maxAbs[t] ?? 0),
        genesis.updateDtype,
      ),
    ),
    treeSize: step.treeSize,
    treeRoot: step.treeRoot,
    modelRoot: step.modelRoot,
    invites: state.invites,
    motions: state.motions,
    recordsRoot: state.recordsRoot,
    eventHash: state.eventHash,
    refused: false,
  };
}

/** Joins that entered with this cut, in ledger order. */
function admit(state: SwarmState, step: Step): MemberState[] {
  const known = new Set(state.members.map((m) => m.fingerprint));
  const joined: MemberState[] = [];
  for (const entry of step.cut) {
    if (entry.core.kind !== 'join' || known.has(entry.core.author)) continue;
    known.add(entry.core.author);
    joined.push(memberOf(entry.core.body.certificate, step.body.epoch));
  }
  return sorted([...state.members, ...joined]);
}

function memberOf(certificate: NodeCertificate, joinedEpoch: number, vote: VoteRight = 'none'): MemberState {
  return {
    fingerprint: fingerprintOf(certificate.mldsaPublicKey, certificate.ed25519PublicKey),
    nodeClass: certificate.nodeClass,
    status: 'active',
    vote: holdsSeat(certificate.nodeClass) ? vote : 'none',
    ed25519PublicKey: certificate.ed25519PublicKey,
    mldsaPublicKey: certificate.mldsaPublicKey,
    joinedEpoch,
    lastEpoch: 0,
    emaX: 0,
    farStreak: 0,
    trust: 0,
  };
}

const sorted = (members: MemberState[]): MemberState[] => members.sort((a, b) => (a.fingerprint < b.fingerprint ? -1 : 1));
const evenTrust = (members: MemberState[]): MemberState[] => members.map((m) => ({ ...m, trust: Math.round(TRUST_ONE / members.length) }));

/** Trust that weighs a contribution: the member's share, or the mean share for one whose join is not ordered yet. */
export function trustOf(state: SwarmState, author: Fingerprint): number {
  const member = state.members.find((m) => m.fingerprint === author);
  return member?.trust ?? Math.round(TRUST_ONE / Math.max(1, state.members.length));
}

/** Hash of everything the rules derive. Two nodes with the same decisions have the same state root. */
export function stateRoot(state: SwarmState): Hex {
  const members = state.members.map((m) => [fromHex(m.fingerprint), m.nodeClass, m.joinedEpoch, m.lastEpoch, m.emaX, m.farStreak, m.trust]);
  const bytes = encode([
    1,
    state.epoch,
    fromHex(state.decision),
    members,
    [...state.scaleExponents],
    state.treeSize,
    fromHex(state.treeRoot),
    fromHex(state.modelRoot),
  ]);
  return toHex(hashWithDomain('starling/state/1', bytes));
}
