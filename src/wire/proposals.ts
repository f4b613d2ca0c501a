import { COMPOSITE_SIGNATURE_BYTES, type Identity, type PublicKeys, verifyComposite } from '../crypto/index.ts';
import { KIB, MAX_ROUNDS, type Proposal, type ProposalBody, StarlingError, type SwarmId } from '../spec/index.ts';
import { BLOCK_MAX_BYTES, blockFields, readBlock } from './blocks.ts';
import { decode, encode } from './cbor.ts';
import { hashBytes, readBytes, readHash, readInt, readNullable, readTuple } from './fields.ts';
import { BLOCK_CONTEXT, proposalBytes } from './signBytes/index.ts';
import { QUORUM_MAX_BYTES, quorumFields, readPlace, readQuorum } from './votes.ts';

/** Bytes: a block, a certificate, a composite signature. */
const PROPOSAL_MAX_BYTES = BLOCK_MAX_BYTES + QUORUM_MAX_BYTES + 4 * KIB;

/** Signs with both keys. `proposal.block` is the hash of `proposal.content`, `proposal.proposer` the identity's. */
export const signProposal = (swarm: SwarmId, proposal: Omit<Proposal, 'signature'>, identity: Identity): Proposal => ({
  ...proposal,
  signature: identity.signComposite(BLOCK_CONTEXT, proposalBytes(swarm, proposal)),
});

/** True if the holder of these keys made the proposal in this swarm. That they are the proposer's is the caller's to look up. */
export const verifyProposal = (swarm: SwarmId, proposal: Proposal, keys: PublicKeys): boolean =>
  verifyComposite(BLOCK_CONTEXT, proposalBytes(swarm, proposal), proposal.signature, keys);

/** [epoch, round, proposer, valid round, block, certificate or null, signature]. */
export const encodeProposal = (proposal: Proposal): Uint8Array => encode(proposalFields(proposal));

/**
 * Checks form, no signature; the block's hash is computed, so `proposal.block` is that of its content. Throws as
 * `decodeBlock`, and BAD_PROPOSAL unless exactly a re-proposal brings the prevotes of its valid round for its block.
 */
export const decodeProposal = (bytes: Uint8Array): Proposal => readProposal(decode(bytes, 'proposal', PROPOSAL_MAX_BYTES), 'proposal');

export const proposalFields = (proposal: Proposal): readonly unknown[] => [
  proposal.epoch,
  proposal.round,
  hashBytes(proposal.proposer),
  proposal.validRound,
  blockFields(proposal.content),
  proposal.prevotes === null ? null : quorumFields(proposal.prevotes),
  proposal.signature,
];

export function readProposal(value: unknown, field: string): Proposal {
  const [epoch, round, proposer, validRound, content, prevotes, signature] = readTuple(value, field, 7);
  const block = readBlock(content, `${field}.content`);
  const proposal: Proposal = {
    ...readPlace(epoch, round, field),
    proposer: readHash(proposer, `${field}.proposer`),
    block: block.hash,
    validRound: readInt(validRound, `${field}.validRound`, -1, MAX_ROUNDS),
    content: block,
    prevotes: readNullable(prevotes, `${field}.prevotes`, readQuorum),
    signature: readBytes(signature, `${field}.signature`, COMPOSITE_SIGNATURE_BYTES),
  };
  checkForm(proposal, field);
  return proposal;
}

function checkForm(proposal: ProposalBody & Pick<Proposal, 'content' | 'prevotes'>, field: string): void {
  const { epoch, round, validRound, content, prevotes } = proposal;
  if (content.header.epoch !== epoch) throw bad(`${field}.epoch`, `is ${epoch}, its block is of epoch ${content.header.epoch}`);
  if (validRound >= round) throw bad(`${field}.validRound`, `is ${validRound} in round ${round}`);
  if ((prevotes === null) !== (validRound === -1)) throw bad(`${field}.prevotes`, 'must be there exactly in a re-proposal');
  if (prevotes === null) return;
  const expected = { epoch, round: validRound, step: 'prevote', block: proposal.block } as const;
  for (const part of ['epoch', 'round', 'step', 'block'] as const)
    if (prevotes[part] !== expected[part]) throw bad(`${field}.prevotes.${part}`, `is ${prevotes[part]}, not ${expected[part]}`);
}

const bad = (field: string, problem: string): StarlingError => new StarlingError('BAD_PROPOSAL', `${field} ${problem}`, { field });
