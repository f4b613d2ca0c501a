/** Blocks, the votes that make them final, and what a block proves. */
import {
  type Beat,
  type BlockBody,
  type BlockHash,
  type BlockHeader,
  type EntryId,
  type Evidence,
  type FederatedRecord,
  type Fingerprint,
  type Hex,
  type Leaf,
  type ProposalBody,
  type SwarmId,
  type SystemEvent,
  survivorsOf,
  type Vote,
  type VoteBody,
  type VoteStep,
} from '../../spec/index.ts';
import { encode } from '../cbor.ts';
import { hashBytes, hashList } from '../fields.ts';
import { droppedFields } from './attempt.ts';
import { DOMAINS, hashOf, withDomain } from './domains.ts';

/** On the wire, and in what is signed, a step is its place in this list. Append only. */
export const STEPS = ['prevote', 'precommit'] as const satisfies readonly VoteStep[];

const sorted = (ids: Iterable<Hex>): Hex[] => [...new Set(ids)].sort();
const nullableHash = (id: Hex | null): Uint8Array | null => (id === null ? null : hashBytes(id));

/** Over the entries whose closure a block takes in: roster and tips, ascending. */
export const cutHash = (tips: readonly EntryId[], roster: readonly EntryId[]): Hex =>
  hashOf(withDomain(DOMAINS.cut, encode(hashList(sorted([...tips, ...roster])))));

/** Over the places of the leaves that a cut appends, chained to those of all cuts before: a leaf of the tree is an id alone. */
export const leavesHash = (before: Hex, leaves: readonly Leaf[]): Hex =>
  hashOf(withDomain(DOMAINS.leaves, encode([hashBytes(before), leaves.map(leafFields)])));
export const leafFields = ({ id, prev, lam, void: isVoid }: Leaf): readonly unknown[] => [prev, lam, isVoid, hashBytes(id)];

/** `roster` ascending, one weight each. */
export const rosterHash = (roster: readonly EntryId[], weights: readonly number[]): Hex =>
  hashOf(withDomain(DOMAINS.roster, encode([hashList(roster), weights])));

/** Over what a roster comes to: as `rosterHash` where nobody was dropped. Covers why they were, so that one block has one form. */
export function survivorsHash(body: Pick<BlockBody, 'roster' | 'weights' | 'dropped'>): Hex {
  if (body.dropped.length === 0) return rosterHash(body.roster, body.weights);
  const out = new Set(body.dropped.map(({ id }) => id));
  const weights = body.weights.filter((_, i) => !out.has(body.roster[i] as EntryId));
  return hashOf(withDomain(DOMAINS.survivors, encode([hashList(survivorsOf(body)), weights, hashList(body.roster), droppedFields(body)])));
}

/** Over a committee, whatever order it comes in. */
export const votersHash = (voters: readonly Fingerprint[]): Hex => hashOf(withDomain(DOMAINS.voters, encode(hashList(sorted(voters)))));

const voteBodyFields = (vote: VoteBody): readonly unknown[] => [
  vote.epoch,
  vote.round,
  STEPS.indexOf(vote.step),
  nullableHash(vote.block),
  hashBytes(vote.voter),
];
export const voteFields = (vote: Vote): readonly unknown[] => [...voteBodyFields(vote), vote.signature];

export const evidenceFields = ({ first, second }: Evidence): readonly unknown[] => [voteFields(first), voteFields(second)];

/** Over a block's evidence in its order. */
export const evidenceHash = (evidence: readonly Evidence[]): Hex =>
  hashOf(withDomain(DOMAINS.evidence, encode(evidence.map(evidenceFields))));

/** The array of PROTOCOL section 7. */
export const headerFields = (header: BlockHeader): readonly unknown[] => [
  header.v,
  hashBytes(header.swarm),
  header.epoch,
  hashBytes(header.prev),
  header.treeSize,
  hashBytes(header.treeRoot),
  hashBytes(header.cutHash),
  hashBytes(header.rosterHash),
  hashBytes(header.survivorsHash),
  hashBytes(header.aggregateHash),
  hashBytes(header.modelRoot),
  hashBytes(header.stateRoot),
  hashBytes(header.votersHash),
  hashBytes(header.nextVotersHash),
  hashBytes(header.evidenceHash),
  header.timeMs,
];

/** A block's identity; the round in which it became final is not part of it. */
export const blockHash = (header: BlockHeader): BlockHash => hashOf(withDomain(DOMAINS.block, encode(headerFields(header))));

/** What a voter signs with Ed25519. A vote does not travel with its swarm, and holds in no other. */
export const voteBytes = (swarm: SwarmId, vote: VoteBody): Uint8Array =>
  withDomain(DOMAINS.vote, encode([hashBytes(swarm), ...voteBodyFields(vote)]));

/** What a proposer signs in BLOCK_CONTEXT. */
export const proposalBytes = (swarm: SwarmId, proposal: ProposalBody): Uint8Array =>
  withDomain(
    DOMAINS.proposal,
    encode([
      hashBytes(swarm),
      proposal.epoch,
      proposal.round,
      hashBytes(proposal.proposer),
      hashBytes(proposal.block),
      proposal.validRound,
    ]),
  );

export const beatFields = (beat: Omit<Beat, 'signature'>): readonly unknown[] => [
  hashBytes(beat.node),
  beat.seq,
  beat.epoch,
  hashBytes(beat.block),
  hashBytes(beat.treeRoot),
  hashBytes(beat.modelRoot),
];

/** What a node signs with Ed25519 every second. */
export const beatBytes = (swarm: SwarmId, beat: Omit<Beat, 'signature'>): Uint8Array =>
  withDomain(DOMAINS.beat, encode([hashBytes(swarm), ...beatFields(beat)]));

/** A leaf of a block's `recordsRoot`. Trust in units of 2^-30. */
export const recordLeaf = (record: FederatedRecord): Uint8Array =>
  withDomain(
    DOMAINS.record,
    encode([hashBytes(record.nodeId), hashBytes(record.deltaHash), record.trustBefore, record.trustAfter, hashBytes(record.parentBlock)]),
  );

/** H(t+1) = sha256(H(t) || event), the event under its domain. `before` is all zeros ahead of the first. */
export const nextEventHash = (before: Hex, event: SystemEvent): Hex =>
  hashOf(
    withDomain(
      DOMAINS.event,
      encode([
        hashBytes(before),
        event.timestamp,
        hashBytes(event.metaHash),
        event.fusionEntropy,
        event.complianceScore,
        hashBytes(event.federatedHash),
      ]),
    ),
  );
