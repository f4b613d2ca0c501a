import assert from 'node:assert/strict';
import { divergenceOf, judgeBeat, noteDivergence, ownBeat, publishBeat } from '../../../src/epoch/beats.ts';
import type { Beat } from '../../../src/spec/index.ts';
import { encodeVotesMessage, signBeat, verifyBeat } from '../../../src/wire/index.ts';
import type { TestNode, TestSwarm } from '../../support/epochWorld.ts';
import { committee, grow } from '../../support/finalSteps.ts';

/** What `node` says of itself, changed and signed again. */
function beatOf(node: TestNode, change: Partial<Beat> = {}): Beat {
  const { signature: _, ...body } = { ...ownBeat(node.ctx, 0), ...change };
  return signBeat(node.swarm.id, body, node.identity);
}

const codeOf = (verdict: ReturnType<typeof judgeBeat>): string =>
  verdict === undefined || verdict.kind === 'accept' ? 'taken' : `${verdict.kind} ${verdict.code}`;

describe('heartbeats', () => {
  let swarm: TestSwarm;
  before(async () => {
    swarm = committee(3);
    await grow(swarm, 2);
  });

  it('say which block a node stands on, with the roots of what it holds', () => {
    const node = swarm.node(0);
    const { ctx } = node;
    const { id, state } = ctx.chain.finalized;
    const beat = ownBeat(ctx, 0);
    assert.deepEqual(
      [beat.node, beat.epoch, beat.block, beat.treeRoot, beat.modelRoot],
      [ctx.self, 2, id, state.treeRoot, state.modelRoot],
    );
    assert.equal(verifyBeat(swarm.id, beat, node.identity.ed25519PublicKey), true);
    assert.equal(beat.seq, ctx.ports.clock.wallMs());
    assert.equal(ownBeat(ctx, beat.seq).seq, beat.seq + 1, 'it grows while the clock stands still');
  });

  it('are told to everyone', async () => {
    const node = swarm.node(0);
    node.published.splice(0);
    const beat = beatOf(node);
    await publishBeat(node.ctx, beat);
    const [message] = node.published.splice(0);
    assert.deepEqual(Buffer.from(message?.data ?? []), Buffer.from(encodeVotesMessage({ kind: 'beat', beat })));
  });

  it('are taken once, from the node they speak for', () => {
    const [{ ctx }, other] = [swarm.node(0), swarm.node(1)];
    assert.equal(codeOf(judgeBeat(ctx, beatOf(other))), 'taken');
    assert.equal(codeOf(judgeBeat(ctx, beatOf(swarm.node(0)))), 'ignore DUPLICATE');
    const forged = { ...beatOf(other), node: swarm.node(2).identity.fingerprint };
    assert.equal(codeOf(judgeBeat(ctx, forged)), 'reject BAD_SIGNATURE');
    assert.equal(codeOf(judgeBeat(ctx, { ...beatOf(other), epoch: 1 })), 'reject BAD_SIGNATURE');
    assert.equal(codeOf(judgeBeat(ctx, { ...beatOf(other), node: 'ab'.repeat(32) })), 'ignore NOT_MEMBER');
    const beat = beatOf(other);
    ctx.reach.hear(beat);
    assert.equal(codeOf(judgeBeat(ctx, beat)), 'ignore DUPLICATE');
    assert.equal(codeOf(judgeBeat(ctx, beatOf(other, { seq: beat.seq - 1 }))), 'ignore DUPLICATE');
    assert.equal(codeOf(judgeBeat(ctx, beatOf(other, { seq: beat.seq + 1 }))), 'taken');
  });

  it('name what differs, at epochs that are final here', () => {
    const [{ ctx }, other] = [swarm.node(0), swarm.node(1)];
    assert.equal(divergenceOf(ctx, beatOf(other)), undefined);
    for (const field of ['block', 'treeRoot', 'modelRoot'] as const) {
      const found = divergenceOf(ctx, beatOf(other, { [field]: 'ab'.repeat(32) }));
      assert.deepEqual(
        [found?.field, found?.there, found?.sinceEpoch, found?.node],
        [field, 'ab'.repeat(32), 2, other.identity.fingerprint],
      );
    }
    const past = ctx.chain.at(1) ?? assert.fail('epoch 1');
    const { treeRoot, modelRoot } = past.state;
    assert.equal(divergenceOf(ctx, beatOf(other, { epoch: 1, block: past.id, treeRoot, modelRoot })), undefined, 'one that is behind');
    assert.equal(divergenceOf(ctx, beatOf(other, { epoch: 1 }))?.field, 'block');
    assert.equal(divergenceOf(ctx, beatOf(other, { epoch: 3, block: 'ab'.repeat(32) })), undefined, 'ahead: not known here');
  });

  it('of a replica that changed under its node tell', () => {
    const node = swarm.node(2);
    const { order } = node.ctx.chain;
    const root = order.root.bind(order);
    order.root = (size) => (size === node.ctx.chain.finalized.state.treeSize ? 'cd'.repeat(32) : root(size));
    try {
      assert.equal(divergenceOf(swarm.node(0).ctx, beatOf(node))?.field, 'treeRoot');
    } finally {
      order.root = root;
    }
  });

  it('quarantine a node from its first difference on, until it agrees at a later block', async () => {
    const { ctx } = swarm.node(0);
    const other = swarm.node(1);
    const lines: string[] = [];
    const { log } = ctx.ports.journal;
    ctx.ports.journal.log = (level, _room, message, facts) => {
      if (message.includes('differ')) lines.push(`${level} ${facts?.code ?? ''} ${message}`);
    };
    try {
      const wrong = beatOf(other, { modelRoot: 'ab'.repeat(32) });
      noteDivergence(ctx, wrong);
      noteDivergence(ctx, { ...wrong, seq: wrong.seq + 1 });
      assert.deepEqual([ctx.diverging.get(other.identity.fingerprint)?.sinceEpoch, lines.length], [2, 1]);
      assert.match(lines[0] as string, /^error DIVERGED /);
      noteDivergence(ctx, beatOf(other));
      assert.equal(ctx.diverging.size, 1, 'the same epoch in other words proves nothing');
      await grow(swarm, 1);
      noteDivergence(ctx, beatOf(other));
      assert.deepEqual([ctx.diverging.size, lines.length], [0, 2]);
    } finally {
      ctx.ports.journal.log = log;
    }
  });
});
