import assert from 'node:assert/strict';
import { verifyComposite } from '../../../src/crypto/index.ts';
import { type Block, MAX_EVIDENCE, MAX_ROSTER, MAX_ROUNDS, MAX_TIPS, MAX_VOTERS, type Vote } from '../../../src/spec/index.ts';
import {
  BLOCK_CONTEXT,
  BLOCK_MAX_BYTES,
  blockHash,
  checkEvidenceForm,
  decode,
  decodeBlock,
  decodeBlockRecord,
  decodeProposal,
  decodeQuorum,
  decodeVote,
  encode,
  encodeBlock,
  encodeBlockRecord,
  encodeProposal,
  encodeQuorum,
  encodeVote,
  INVITE_CONTEXT,
  makeBlock,
  proposalBytes,
  verifyProposal,
  verifyVote,
} from '../../../src/wire/index.ts';
import { block, doubleVote, otherDoubleVote, proposal, quorum, record, reproposal, SWARM, vote } from './finalitySamples.ts';
import { alice, id, refuses } from './samples.ts';

const { hash: _, header, body } = block;
const hash = (n: number): string => n.toString(16).padStart(64, '0');
const hashes = (from: number, count: number): string[] => Array.from({ length: count }, (_x, i) => hash(from + i));
const remade = (change: Partial<Block['body']>): Block => makeBlock(header, { ...body, ...change });
/** An encoded block whose header says what it said of another body. */
const altered = (change: Partial<Block['body']>): Uint8Array => encodeBlock({ ...block, body: { ...body, ...change } });

describe('blocks', () => {
  it('decode to what was encoded, with the hash of their header', () => {
    assert.deepEqual(decodeBlock(encodeBlock(block)), block);
    assert.equal(decodeBlock(encodeBlock({ ...block, hash: id(0) })).hash, blockHash(header));
  });

  it('of the largest body fit their bound, and of one entry more do not decode', () => {
    const evidence = new Array(MAX_EVIDENCE).fill(doubleVote);
    const weights = new Array(MAX_ROSTER).fill(85);
    const largest = remade({ tips: hashes(1, MAX_TIPS), roster: hashes(1_000, MAX_ROSTER), weights, evidence, dropped: [] });
    assert.ok(encodeBlock(largest).byteLength < BLOCK_MAX_BYTES, `${encodeBlock(largest).byteLength}`);
    assert.deepEqual(decodeBlock(encodeBlock(largest)), largest);
    const decoding = (change: Partial<Block['body']>) => () => decodeBlock(encodeBlock(remade(change)));
    refuses(decoding({ tips: hashes(1, MAX_TIPS + 1) }), 'MALFORMED', 'block.tips');
    refuses(decoding({ roster: hashes(1, MAX_ROSTER + 1), weights: [...weights, 1] }), 'MALFORMED', 'block.roster');
    refuses(decoding({ evidence: [...evidence, doubleVote] }), 'MALFORMED', 'block.evidence');
    refuses(() => decodeBlock(new Uint8Array(BLOCK_MAX_BYTES + 1)), 'TOO_LARGE', 'block');
  });

  it('have one form for one cut: tips ascending, without the roster', () => {
    assert.deepEqual(remade({ tips: [id(0x44), id(0x42), id(0x43), id(0x44)] }), block);
    refuses(() => decodeBlock(altered({ tips: [id(0x42), id(0x43), id(0x44)] })), 'BAD_BLOCK', 'block.tips');
    refuses(() => decodeBlock(altered({ tips: [id(0x44), id(0x43)] })), 'MALFORMED', 'block.tips[1]');
  });

  it('are refused by the name of the hash that their body contradicts', () => {
    refuses(() => decodeBlock(altered({ tips: [id(0x43)] })), 'BAD_BLOCK', 'block.cutHash');
    refuses(() => decodeBlock(altered({ weights: [65_534, 2] })), 'BAD_BLOCK', 'block.rosterHash');
    refuses(() => decodeBlock(altered({ evidence: [doubleVote] })), 'BAD_BLOCK', 'block.evidenceHash');
    refuses(() => decodeBlock(altered({ weights: [1] })), 'MALFORMED', 'block.weights');
    refuses(() => decodeBlock(encodeBlock({ ...block, header: { ...header, epoch: 0 } })), 'MALFORMED', 'block.epoch');
  });

  it('travel with the precommits for them, and with no other votes', () => {
    assert.deepEqual(decodeBlockRecord(encodeBlockRecord(record)), record);
    const certified = (change: Parameters<typeof quorum>[0]) => () =>
      decodeBlockRecord(encodeBlockRecord({ block, certificate: quorum(change) }));
    refuses(certified({ epoch: 8 }), 'BAD_QUORUM', 'record.certificate.epoch');
    refuses(certified({ step: 'prevote' }), 'BAD_QUORUM', 'record.certificate.step');
    refuses(certified({ block: id(0x70) }), 'BAD_QUORUM', 'record.certificate.block');
    refuses(certified({ block: null }), 'BAD_QUORUM', 'record.certificate.block');
  });
});

describe('evidence', () => {
  const votes = (first: Partial<Vote>, second: Partial<Vote>) => ({ first: vote(first), second: vote(second) });

  it('is two votes at one place for two values, the lower first', () => {
    for (const good of [doubleVote, otherDoubleVote, votes({ block: id(1) }, { block: id(2) })]) checkEvidenceForm(good, 'e');
    const at = (part: Partial<Vote>) => () => checkEvidenceForm(votes({ block: null }, part), 'e');
    refuses(at({ epoch: 8 }), 'BAD_EVIDENCE', 'e.second.epoch');
    refuses(at({ round: 2 }), 'BAD_EVIDENCE', 'e.second.round');
    refuses(at({ step: 'prevote' }), 'BAD_EVIDENCE', 'e.second.step');
    refuses(at({ voter: id(1) }), 'BAD_EVIDENCE', 'e.second.voter');
    refuses(at({ block: null }), 'BAD_EVIDENCE', 'e.second.block');
    refuses(() => checkEvidenceForm(votes({ block: id(2) }, { block: id(1) }), 'e'), 'BAD_EVIDENCE', 'e.second.block');
    refuses(() => checkEvidenceForm(votes({ block: id(2) }, { block: id(2) }), 'e'), 'BAD_EVIDENCE', 'e.second.block');
    refuses(() => checkEvidenceForm(votes({}, { block: null }), 'e'), 'BAD_EVIDENCE', 'e.second.block');
  });

  it('of a wrong form keeps a block from decoding', () => {
    const upsideDown = votes({}, { block: null });
    refuses(
      () => decodeBlock(encodeBlock(remade({ evidence: [doubleVote, upsideDown] }))),
      'BAD_EVIDENCE',
      'block.evidence[1].second.block',
    );
    const wire = decode(encodeBlock(block), 'block', BLOCK_MAX_BYTES) as [unknown, unknown[]];
    const withEvidence = (one: unknown) => () => decodeBlock(encode([wire[0], wire[1].with(3, [one])]));
    refuses(withEvidence(7), 'MALFORMED', 'block.evidence[0]');
    refuses(withEvidence([0]), 'MALFORMED', 'block.evidence[0]');
    refuses(withEvidence([7, 7]), 'MALFORMED', 'block.evidence[0].first');
  });
});

describe('votes', () => {
  it('decode to what was encoded and verify in their swarm alone', () => {
    for (const one of [vote(), vote({ block: null }), vote({ step: 'prevote', round: MAX_ROUNDS })]) {
      const decoded = decodeVote(encodeVote(one));
      assert.deepEqual(decoded, one);
      assert.equal(verifyVote(SWARM, decoded, alice.ed25519PublicKey), true);
      assert.equal(verifyVote(id(0x11), decoded, alice.ed25519PublicKey), false);
    }
  });

  it('of no epoch and of endless rounds are refused', () => {
    refuses(() => decodeVote(encodeVote(vote({ epoch: 0 }))), 'MALFORMED', 'vote.epoch');
    refuses(() => decodeVote(encodeVote(vote({ round: MAX_ROUNDS + 1 }))), 'MALFORMED', 'vote.round');
    refuses(() => decodeVote(encodeVote({ ...vote(), signature: new Uint8Array(63) })), 'MALFORMED', 'vote.signature');
  });

  it('make a certificate, each voter once, in order, as many as a committee has', () => {
    const committee = hashes(1, MAX_VOTERS);
    for (const one of [quorum(), quorum({ step: 'prevote', block: null }), quorum({}, committee)])
      assert.deepEqual(decodeQuorum(encodeQuorum(one)), one);
    refuses(() => decodeQuorum(encodeQuorum(quorum({}, [id(2), id(1)]))), 'MALFORMED', 'quorum.votes[1]');
    refuses(() => decodeQuorum(encodeQuorum(quorum({}, [id(2), id(2)]))), 'MALFORMED', 'quorum.votes[1]');
    refuses(() => decodeQuorum(encodeQuorum(quorum({}, [...committee, hash(9_999)]))), 'MALFORMED', 'quorum.votes');
  });
});

describe('proposals', () => {
  it('decode to what was encoded, and verify in their swarm alone', () => {
    for (const one of [proposal, reproposal]) {
      const decoded = decodeProposal(encodeProposal(one));
      assert.deepEqual(decoded, one);
      assert.equal(verifyProposal(SWARM, decoded, alice), true);
      assert.equal(verifyProposal(id(0x11), decoded, alice), false);
      assert.equal(verifyProposal(SWARM, { ...decoded, round: 9 }, alice), false);
    }
  });

  it('are signed with both keys, in the context of blocks', () => {
    assert.equal(verifyComposite(BLOCK_CONTEXT, proposalBytes(SWARM, reproposal), reproposal.signature, alice), true);
    assert.equal(verifyComposite(INVITE_CONTEXT, proposalBytes(SWARM, reproposal), reproposal.signature, alice), false);
  });

  it('bring the prevotes of their valid round for their block, and only then', () => {
    const saying = (change: object) => () => decodeProposal(encodeProposal({ ...reproposal, ...change }));
    refuses(saying({ prevotes: null }), 'BAD_PROPOSAL', 'proposal.prevotes');
    refuses(saying({ validRound: -1 }), 'BAD_PROPOSAL', 'proposal.prevotes');
    refuses(saying({ validRound: 3 }), 'BAD_PROPOSAL', 'proposal.validRound');
    refuses(saying({ validRound: -2 }), 'MALFORMED', 'proposal.validRound');
    refuses(saying({ epoch: 8 }), 'BAD_PROPOSAL', 'proposal.epoch');
    const prevoted = (change: Parameters<typeof quorum>[0]) => saying({ prevotes: quorum({ step: 'prevote', ...change }) });
    refuses(prevoted({ step: 'precommit' }), 'BAD_PROPOSAL', 'proposal.prevotes.step');
    refuses(prevoted({ round: 2 }), 'BAD_PROPOSAL', 'proposal.prevotes.round');
    refuses(prevoted({ epoch: 6 }), 'BAD_PROPOSAL', 'proposal.prevotes.epoch');
    refuses(prevoted({ block: id(0x70) }), 'BAD_PROPOSAL', 'proposal.prevotes.block');
  });

  it('take their hash from their block, whatever the sender calls it', () => {
    const decoded = decodeProposal(encodeProposal({ ...proposal, block: id(0x70) }));
    assert.equal(decoded.block, block.hash);
    assert.equal(verifyProposal(SWARM, { ...decoded, block: id(0x70) }, alice), false);
  });
});
