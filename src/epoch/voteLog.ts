/** What this node signed in the present height, on disk before it is sent (PROTOCOL section 7). One record, replaced. */
import type { SavedVotes } from '../consensus/tendermint.ts';
import { MAX_ROUNDS, MAX_VOTERS, MIB, type Proposal } from '../spec/index.ts';
import {
  decode,
  decodeProposal,
  decodeQuorum,
  decodeVote,
  encode,
  encodeProposal,
  encodeQuorum,
  encodeVote,
  hashBytes,
  readBytes,
  readHash,
  readInt,
  readList,
  readNullable,
  readOneOf,
  readTuple,
} from '../wire/index.ts';
import { type NodeStore, VOTES_LOST } from './ports.ts';

const VOTES = 'votes';
const PROPOSAL = 'votes-proposal';
/** Bytes: a certificate and as many votes as let a node enter a round. */
const RECORD_MAX_BYTES = MIB;

/** Durable when it returns. */
export function saveVotes(store: NodeStore, saved: SavedVotes): void {
  const { epoch, round, locked, valid, proposed, votes, entry } = saved;
  const hash = (block: string | null) => (block === null ? null : hashBytes(block));
  store.set(
    VOTES,
    encode([
      epoch,
      round,
      locked === null ? null : [locked.round, hash(locked.block)],
      valid === null ? null : [valid.round, hash(valid.block), encodeQuorum(valid.certificate)],
      proposed === null ? null : [hash(proposed.block), proposed.validRound + 1],
      votes.map((vote) => [vote.round, vote.step, hash(vote.block)]),
      entry.map(encodeVote),
    ]),
  );
}

/** What was saved for this height; undefined for another. Throws MALFORMED where the record does not hold together. */
export function loadVotes(store: NodeStore, wanted: number): SavedVotes | undefined {
  const bytes = store.get(VOTES);
  if (bytes === undefined) return undefined;
  const [epoch, round, locked, valid, proposed, votes, entry] = readTuple(decode(bytes, VOTES, RECORD_MAX_BYTES), VOTES, 7);
  const height = readInt(epoch, 'votes.epoch');
  if (height !== wanted) return undefined;
  const readRound = (value: unknown, field: string): number => readInt(value, field, 0, MAX_ROUNDS);
  return {
    epoch: height,
    round: readRound(round, 'votes.round'),
    locked: readNullable(locked, 'votes.locked', (value, field) => {
      const [at, block] = readTuple(value, field, 2);
      return { round: readRound(at, `${field}.round`), block: readHash(block, `${field}.block`) };
    }),
    valid: readNullable(valid, 'votes.valid', (value, field) => {
      const [at, block, certificate] = readTuple(value, field, 3);
      return {
        round: readRound(at, `${field}.round`),
        block: readHash(block, `${field}.block`),
        certificate: decodeQuorum(readBytes(certificate, `${field}.certificate`, 1, RECORD_MAX_BYTES)),
      };
    }),
    proposed: readNullable(proposed, 'votes.proposed', (value, field) => {
      const [block, validRound] = readTuple(value, field, 2);
      return { block: readHash(block, `${field}.block`), validRound: readInt(validRound, `${field}.validRound`, 0, MAX_ROUNDS + 1) - 1 };
    }),
    votes: readList(votes, 'votes.votes', 2, (value, field) => {
      const [at, step, block] = readTuple(value, field, 3);
      return {
        round: readRound(at, `${field}.round`),
        step: readOneOf(step, `${field}.step`, ['prevote', 'precommit']),
        block: readNullable(block, `${field}.block`, readHash),
      };
    }),
    entry: readList(entry, 'votes.entry', 2 * MAX_VOTERS, (value, field) => decodeVote(readBytes(value, field, 1, 1_024))),
  };
}

/** The proposal that q voters prevoted. Durable with the votes that are saved after it. */
export const saveProposal = (store: NodeStore, proposal: Proposal): void => store.set(PROPOSAL, encodeProposal(proposal), 'soon');

export function loadProposal(store: NodeStore, wanted: number): Proposal | undefined {
  const bytes = store.get(PROPOSAL);
  const proposal = bytes === undefined ? undefined : decodeProposal(bytes);
  return proposal?.epoch === wanted ? proposal : undefined;
}

/**
 * Whether a repair has lost the log (VOTES_LOST is set), so that this node must not vote in the height that is open. From the
 * next height on it may: the fact is turned into that height, and dropped once it is past.
 */
export function votesWereLost(store: NodeStore, height: number): boolean {
  const lost = store.get(VOTES_LOST);
  if (lost === undefined) return false;
  const open = lost.byteLength === 0 ? height : readInt(decode(lost, VOTES_LOST, 16), VOTES_LOST);
  if (lost.byteLength === 0) store.set(VOTES_LOST, encode(height));
  if (height > open) store.delete(VOTES_LOST);
  return height <= open;
}
