import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { SavedVotes } from '../../../src/consensus/tendermint.ts';
import { loadProposal, loadVotes, saveProposal, saveVotes } from '../../../src/epoch/voteLog.ts';
import { MemoryNodeStore } from '../../../src/simulation/stores.ts';
import { MAX_ROUNDS, type Proposal, StarlingError, type Vote } from '../../../src/spec/index.ts';
import { signProposal } from '../../../src/wire/index.ts';
import { certify, committee, draftOf } from '../../support/finalSteps.ts';

const hash = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((b) => Buffer.from(b).toString('hex'));
const round = fc.integer({ min: 0, max: MAX_ROUNDS - 1 });
const step = fc.constantFrom('prevote' as const, 'precommit' as const);
const signature = fc.uint8Array({ minLength: 64, maxLength: 64 });
const vote: fc.Arbitrary<Vote> = fc.record({
  epoch: fc.constant(7),
  round,
  step,
  block: fc.option(hash, { nil: null }),
  voter: hash,
  signature,
});

function savedOf(certified: NonNullable<SavedVotes['valid']>): fc.Arbitrary<SavedVotes> {
  return fc.record({
    epoch: fc.constant(7),
    round,
    locked: fc.option(fc.record({ round, block: hash }), { nil: null }),
    valid: fc.constantFrom(null, certified),
    proposed: fc.option(fc.record({ block: hash, validRound: fc.integer({ min: -1, max: MAX_ROUNDS - 1 }) }), { nil: null }),
    votes: fc.array(fc.record({ round, step, block: fc.option(hash, { nil: null }) }), { maxLength: 2 }),
    entry: fc.array(vote, { maxLength: 5 }),
  });
}

/** Bytes as plain arrays: a decoded signature is a Buffer, a given one is not. */
const plain = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value, (_, v) => (v?.type === 'Buffer' ? v.data : v instanceof Uint8Array ? [...v] : v)));

describe('what a node signed, on its disk', () => {
  const swarm = committee(4);
  let proposal: Proposal;
  let certified: NonNullable<SavedVotes['valid']>;
  before(async () => {
    const { block } = await draftOf(swarm.node(0));
    const body = { epoch: 1, round: 0, proposer: swarm.node(0).identity.fingerprint, block: block.hash, validRound: -1 };
    proposal = signProposal(swarm.id, { ...body, content: block, prevotes: null }, swarm.node(0).identity);
    const certificate = certify(block, swarm.nodes.slice(0, 3), { step: 'prevote', epoch: 7, round: 3 });
    certified = { round: 3, block: block.hash, certificate };
  });

  it('comes back as it was, for its height alone', () => {
    fc.assert(
      fc.property(savedOf(certified), (saved) => {
        const store = new MemoryNodeStore();
        saveVotes(store, saved);
        assert.deepEqual(plain(loadVotes(store, 7)), plain(saved));
        assert.deepEqual([loadVotes(store, 6), loadVotes(store, 8)], [undefined, undefined]);
      }),
      { numRuns: 100 },
    );
    assert.equal(loadVotes(new MemoryNodeStore(), 7), undefined);
  });

  it('is one record, replaced by the next height', () => {
    const store = new MemoryNodeStore();
    const saved: SavedVotes = { epoch: 7, round: 0, locked: null, valid: null, proposed: null, votes: [], entry: [] };
    saveVotes(store, saved);
    saveVotes(store, { ...saved, epoch: 8 });
    assert.deepEqual([loadVotes(store, 7), loadVotes(store, 8)?.epoch], [undefined, 8]);
  });

  it('is refused when it is damaged: cut anywhere, or with what cannot be', () => {
    const store = new MemoryNodeStore();
    const votes = [{ round: 3, step: 'prevote' as const, block: certified.block }];
    saveVotes(store, { epoch: 7, round: 3, locked: certified, valid: certified, proposed: null, votes, entry: [] });
    const bytes = store.get('votes') ?? assert.fail('saved');
    for (let at = 0; at < bytes.length; at += 7) {
      store.set('votes', bytes.subarray(0, at));
      assert.throws(() => loadVotes(store, 7), StarlingError, `cut at ${at}`);
    }
    saveVotes(store, { epoch: 7, round: MAX_ROUNDS + 1, locked: null, valid: null, proposed: null, votes, entry: [] });
    assert.throws(() => loadVotes(store, 7), { code: 'MALFORMED' });
    saveVotes(store, { epoch: 7, round: 3, locked: null, valid: null, proposed: null, votes: [...votes, ...votes, ...votes], entry: [] });
    assert.throws(() => loadVotes(store, 7), { code: 'MALFORMED' });
  });

  it('holds the proposal that q voters stood behind, for its height alone', () => {
    const store = new MemoryNodeStore();
    assert.equal(loadProposal(store, 1), undefined);
    saveProposal(store, proposal);
    assert.deepEqual(plain(loadProposal(store, 1)), plain(proposal));
    assert.equal(loadProposal(store, 2), undefined);
    const bytes = store.get('votes-proposal') ?? assert.fail('saved');
    store.set('votes-proposal', bytes.subarray(0, bytes.length - 1));
    assert.throws(() => loadProposal(store, 1), StarlingError);
  });
});
