import assert from 'node:assert/strict';
import { type AggregateHeader, type Block, FRAME_MAX_BYTES, GOSSIP_MAX_BYTES, MAX_ROSTER } from '../../../src/spec/index.ts';
import {
  aggregateHash,
  type BlockItem,
  decodeBeat,
  decodeBlocksAnswer,
  decodeBlocksRequest,
  decodeVotesBundle,
  decodeVotesMessage,
  encode,
  encodeBeat,
  encodeBlocksAnswer,
  encodeBlocksRequest,
  encodeVotesBundle,
  encodeVotesMessage,
  makeBlock,
  VOTES_BUNDLE_MAX_BYTES,
  type VotesMessage,
  verifyBeat,
} from '../../../src/wire/index.ts';
import { beat, block, proposal, quorum, record, reproposal, SWARM, vote } from './finalitySamples.ts';
import { alice, id, refuses } from './samples.ts';

const messages: readonly VotesMessage[] = [
  { kind: 'vote', vote: vote() },
  { kind: 'proposal', proposal },
  { kind: 'proposal', proposal: reproposal },
  { kind: 'commit', certificate: quorum() },
  { kind: 'beat', beat },
];

describe('votes messages', () => {
  it('decode to what was encoded, alone and in bundles', () => {
    for (const message of messages) assert.deepEqual(decodeVotesMessage(encodeVotesMessage(message)), message);
    assert.deepEqual(decodeVotesBundle(encodeVotesBundle(messages)), messages);
    assert.deepEqual(decodeVotesBundle(encodeVotesBundle([])), []);
  });

  it('commit a block by precommits only', () => {
    for (const certificate of [quorum({ step: 'prevote' }), quorum({ block: null })])
      refuses(() => decodeVotesMessage(encodeVotesMessage({ kind: 'commit', certificate })), 'MALFORMED', 'votes.commit');
  });

  it('of unknown kinds and above their bounds are refused', () => {
    refuses(() => decodeVotesMessage(encode([4, 0])), 'MALFORMED', 'votes.kind');
    refuses(() => decodeVotesMessage(encode(['vote', 0])), 'MALFORMED', 'votes.kind');
    refuses(() => decodeVotesMessage(new Uint8Array(GOSSIP_MAX_BYTES + 1)), 'TOO_LARGE', 'votes');
    refuses(() => decodeVotesBundle(new Uint8Array(VOTES_BUNDLE_MAX_BYTES + 1)), 'TOO_LARGE', 'votes');
    refuses(() => decodeVotesBundle(encode([[0, 7]])), 'MALFORMED', 'votes[0].vote');
  });

  it('fill a bundle to its bound, in their order', () => {
    const many = Array.from({ length: 2_500 }, (_, round): VotesMessage => ({ kind: 'vote', vote: { ...vote(), round } }));
    const bundle = encodeVotesBundle(many);
    const held = decodeVotesBundle(bundle);
    assert.ok(bundle.byteLength <= VOTES_BUNDLE_MAX_BYTES && bundle.byteLength > VOTES_BUNDLE_MAX_BYTES - 200, `${bundle.byteLength}`);
    assert.deepEqual(held, many.slice(0, held.length));
  });
});

describe('heartbeats', () => {
  it('decode to what was encoded and verify in their swarm alone', () => {
    assert.deepEqual(decodeBeat(encodeBeat(beat)), beat);
    assert.equal(verifyBeat(SWARM, decodeBeat(encodeBeat(beat)), alice.ed25519PublicKey), true);
    assert.equal(verifyBeat(id(0x11), beat, alice.ed25519PublicKey), false);
    assert.equal(verifyBeat(SWARM, { ...beat, modelRoot: id(0x83) }, alice.ed25519PublicKey), false);
  });
});

describe('blocks messages', () => {
  const header: AggregateHeader = {
    v: 1,
    epoch: 7,
    weightTotal: 65_536,
    sumRoot: id(0x60),
    sumBytes: 28,
    distances: ['0', '12'],
    opening: null,
  };
  const item = (change: Partial<Block['header']>, body = block.body, withHeader: AggregateHeader | null = null): BlockItem => {
    const made = makeBlock({ ...block.header, ...change }, body);
    return { record: { block: made, certificate: quorum({ epoch: made.header.epoch, block: made.hash }) }, header: withHeader };
  };
  const averaged = item({ aggregateHash: aggregateHash(header) }, block.body, header);

  it('decode to what was encoded', () => {
    assert.deepEqual(decodeBlocksRequest(encodeBlocksRequest({ from: 7, limit: 1_024 })), { from: 7, limit: 1_024 });
    for (const answer of [
      { head: 0, base: 0, records: [] },
      { head: 9, base: 4, records: [averaged, { record: item({ epoch: 8 }).record, header: null }] },
      { head: 7, base: 7, records: [{ record, header: null }] },
    ])
      assert.deepEqual(decodeBlocksAnswer(encodeBlocksAnswer(answer)), answer);
  });

  it('ask for one block or more, from the first on', () => {
    refuses(() => decodeBlocksRequest(encodeBlocksRequest({ from: 0, limit: 1 })), 'MALFORMED', 'blocksRequest.from');
    refuses(() => decodeBlocksRequest(encodeBlocksRequest({ from: 1, limit: 0 })), 'MALFORMED', 'blocksRequest.limit');
    refuses(() => decodeBlocksRequest(encodeBlocksRequest({ from: 1, limit: 1_025 })), 'MALFORMED', 'blocksRequest.limit');
  });

  it('hold epochs one after the other, and no header of another aggregate', () => {
    const decoding =
      (...records: BlockItem[]) =>
      () =>
        decodeBlocksAnswer(encodeBlocksAnswer({ head: 9, base: 0, records }));
    refuses(decoding(averaged, item({ epoch: 9 })), 'MALFORMED', 'blocks.records[1]');
    refuses(decoding(averaged, averaged), 'MALFORMED', 'blocks.records[1]');
    refuses(decoding({ ...averaged, header: { ...header, weightTotal: 1 } }), 'HASH_MISMATCH', 'blocks.records[0].header');
  });

  it('fill a frame and no more', () => {
    const roster = Array.from({ length: MAX_ROSTER }, (_, i) => i.toString(16).padStart(64, '0'));
    const large = { ...block.body, roster, weights: roster.map(() => 85), dropped: [] };
    const records = Array.from({ length: 60 }, (_, i) => item({ epoch: i + 1 }, large));
    const frame = encodeBlocksAnswer({ head: 60, base: 0, records });
    assert.ok(frame.byteLength <= FRAME_MAX_BYTES && frame.byteLength > FRAME_MAX_BYTES - 40_000, `${frame.byteLength}`);
    const { head, records: held } = decodeBlocksAnswer(frame);
    assert.equal(head, 60);
    assert.deepEqual(held, records.slice(0, held.length));
    refuses(() => decodeBlocksAnswer(new Uint8Array(FRAME_MAX_BYTES + 1)), 'TOO_LARGE', 'blocks');
  });
});
