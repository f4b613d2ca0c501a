import assert from 'node:assert/strict';
import { bytesOf } from '../../../src/aggregation/index.ts';
import { heldHeader } from '../../../src/epoch/aggregates.ts';
import { applyFinal, replayBlocks } from '../../../src/epoch/finality.ts';
import { ensureModel } from '../../../src/epoch/modelPull.ts';
import type { Candidate } from '../../../src/epoch/waitingBlocks.ts';
import type { StarlingError } from '../../../src/spec/index.ts';
import { type BlockRecord, blockHash } from '../../../src/wire/index.ts';
import { sorted, type TestNode, type TestSwarm } from '../../support/epochWorld.ts';
import { certify, committee, draftOf, finalise, give, grow, judgeAll, wave } from '../../support/finalSteps.ts';

const code = (expected: string) => (e: unknown) => (e as StarlingError).code === expected;
const finalOf = ({ ctx: { chain } }: TestNode) => [
  chain.finalized.id,
  chain.finalized.stateRoot,
  chain.finalized.state.treeRoot,
  chain.finalized.state.modelRoot,
];

/** An epoch ready to be voted on: contributions, verdicts, and what node 0 proposes. */
async function proposed(
  swarm: TestSwarm,
): Promise<{ readonly ids: string[]; readonly candidate: Candidate; readonly record: BlockRecord }> {
  const ids = await swarm.contribute(swarm.nodes.map((_, i) => wave(i)));
  await judgeAll(swarm, ids);
  const candidate = await draftOf(swarm.node(0), ids);
  return { ids, candidate, record: { block: candidate.block, certificate: certify(candidate.block, swarm.nodes) } };
}

describe('a final block', () => {
  it('brings every node to the same state and, bit for bit, the same model', async () => {
    const swarm = committee(4);
    await grow(swarm, 3);
    const [first, ...others] = swarm.nodes as [TestNode, ...TestNode[]];
    assert.equal(first.ctx.chain.finalized.state.epoch, 3);
    for (const other of others) {
      assert.deepEqual(finalOf(other), finalOf(first));
      assert.deepEqual(await other.ctx.chain.model(3), await first.ctx.chain.model(3));
    }
    assert.equal(first.ctx.chain.finalized, first.ctx.chain.head);
  });

  it('is on disk only after the entries of its cut', async () => {
    const swarm = committee(4);
    const node = swarm.node(1);
    const { entries, blocks } = node.ctx.ports;
    const calls: string[] = [];
    const [flush, append, note] = [entries.flush.bind(entries), blocks.append.bind(blocks), entries.append.bind(entries)];
    entries.flush = () => {
      calls.push('synced');
      flush();
    };
    entries.append = (added, when = 'now') => {
      calls.push(when === 'now' ? 'synced' : 'entries');
      return note(added, when);
    };
    blocks.append = (record) => {
      calls.push('block');
      append(record);
    };
    await grow(swarm, 2);
    assert.equal(calls.filter((call) => call === 'block').length, 2);
    assert.ok(calls.includes('entries'), 'those of others need not be synced by themselves');
    for (const [i, call] of calls.entries())
      if (call === 'block')
        assert.equal(
          calls.slice(0, i).findLast((one) => one !== 'block'),
          'synced',
        );
  });

  it('takes the place of whatever provisional stands over the one before, and the order with it', async () => {
    const swarm = committee(4);
    await grow(swarm, 1);
    const node = swarm.node(1);
    const { chain } = node.ctx;
    // Cut off, it goes on alone for three steps; the others finalise meanwhile.
    node.ctx.quorate = false;
    for (let i = 0; i < 3; i++) {
      await node.decide([(await node.submit(wave(10 + i))).contributionId]);
      await node.apply();
    }
    assert.deepEqual([chain.head.state.epoch, chain.finalized.state.epoch, chain.isProvisional], [4, 1, true]);
    swarm.share();
    const late = swarm.node(2);
    const ids = [(await swarm.node(0).submit(wave(1))).contributionId, (await late.submit(wave(2))).contributionId];
    swarm.deliver(swarm.node(0));
    swarm.deliver(late);
    swarm.share();
    await judgeAll(
      swarm,
      ids,
      swarm.nodes.filter((n) => n !== node),
    );
    const { block, aggregate } = await draftOf(swarm.node(0), ids);
    const record = { block, certificate: certify(block, swarm.nodes) };
    for (const one of swarm.nodes) await give(one, record, aggregate.header);
    assert.deepEqual([chain.head.id, chain.finalized.id, chain.isProvisional], [record.block.hash, record.block.hash, false]);
    assert.deepEqual([chain.order.size, chain.order.root()], [chain.head.state.treeSize, chain.head.state.treeRoot]);
    for (const other of swarm.nodes) assert.deepEqual(finalOf(other), finalOf(node));
    // What it learned alone is in the ledger's order: nothing of it is lost.
    for (const entry of node.ctx.replica.graph.entries())
      assert.equal(chain.find(entry.id)?.epoch, 2 - Number(entry.core.epochSeen === 0), entry.core.kind);
    assert.deepEqual(node.ctx.decisions.children(record.block.hash), [], 'decisions over the last block are past');
  });

  it('is final on the word of q voters alone', async () => {
    const swarm = committee(4);
    const { candidate, record } = await proposed(swarm);
    const { block } = candidate;
    const node = swarm.node(3);
    const lines: unknown[] = [];
    node.ctx.ports.journal.log = (_level, _room, message, facts) => void lines.push([message, facts?.code]);
    const [vote, ...rest] = certify(block, swarm.nodes.slice(0, 3)).votes;
    const forged = { ...(vote as (typeof rest)[0]), signature: new Uint8Array(64) };
    const wrong: [BlockRecord['certificate'], string][] = [
      [certify(block, swarm.nodes.slice(0, 2)), 'BAD_QUORUM'],
      [certify(block, swarm.nodes, { step: 'prevote' }), 'BAD_QUORUM'],
      [certify(block, swarm.nodes, { block: 'ab'.repeat(32) }), 'BAD_QUORUM'],
      [certify(block, swarm.nodes, { epoch: 2 }), 'BAD_QUORUM'],
      [{ ...record.certificate, votes: [forged, ...rest] }, 'BAD_SIGNATURE'],
    ];
    for (const [certificate, expected] of wrong) {
      await give(node, { block, certificate }, candidate.aggregate.header);
      assert.deepEqual(lines.splice(0), [['a block is not final', expected]]);
      assert.deepEqual([node.ctx.chain.finalized.state.epoch, node.blocks.head(), node.ctx.finals.get(1)], [0, 0, undefined]);
    }
    await give(node, record, candidate.aggregate.header);
    assert.deepEqual([node.ctx.chain.finalized.id, node.blocks.head()], [block.hash, 1]);
  });

  it('waits for its entries, and for the header of its aggregate', async () => {
    const swarm = committee(4);
    const node = swarm.node(3);
    const ids = (await swarm.contribute(swarm.nodes.slice(0, 3).map((_, i) => wave(i)))).slice(0, 3);
    await judgeAll(swarm, ids);
    const { block, aggregate } = await draftOf(swarm.node(0), ids);
    const record = { block, certificate: certify(block, swarm.nodes) };
    // Without the values of the updates, and told no header.
    const row = node.ctx.updates.row.bind(node.ctx.updates);
    node.ctx.updates.row = () => undefined;
    node.ctx.finals.add({ record, header: null }, 0);
    assert.deepEqual(await applyFinal(node.ctx), { kind: 'incomplete' });
    // With another's header.
    node.ctx.finals.add({ record, header: { ...(aggregate.header as NonNullable<typeof aggregate.header>), weightTotal: 1 } }, 0);
    assert.deepEqual(await applyFinal(node.ctx), { kind: 'incomplete' });
    node.ctx.finals.add({ record, header: aggregate.header ?? null }, 0);
    const { graph } = node.ctx.replica;
    const has = graph.has.bind(graph);
    graph.has = (id) => id !== block.body.roster[0] && has(id);
    assert.deepEqual(await applyFinal(node.ctx), { kind: 'incomplete' });
    graph.has = has;
    assert.equal((await applyFinal(node.ctx)).kind, 'applied');
    assert.deepEqual(finalOf(node), [block.hash, node.ctx.chain.finalized.stateRoot, block.header.treeRoot, block.header.modelRoot]);
    // Its root is certified; the values come from a peer.
    for (const other of swarm.nodes.slice(0, 3)) await give(other, record, aggregate.header);
    await assert.rejects(node.ctx.chain.model(1), code('AGGREGATE_MISSING'));
    await ensureModel(node.ctx);
    assert.deepEqual(await node.ctx.chain.model(1), await swarm.node(0).ctx.chain.model(1));
    node.ctx.updates.row = row;
  });

  it('that q voters signed and this ledger contradicts is said, and not taken', async () => {
    const swarm = committee(3);
    const { block } = await finalise(swarm, [], []);
    const header = { ...block.header, stateRoot: 'ab'.repeat(32) };
    const other = { ...block, header, hash: blockHash(header) };
    const node = swarm.node(0);
    node.ctx.finals.add({ record: { block: other, certificate: certify(other, swarm.nodes) }, header: null }, 0);
    await assert.rejects(node.apply(), code('DIVERGED'));
    assert.deepEqual([node.ctx.chain.finalized.state.epoch, node.blocks.head()], [0, 0]);
  });

  it('is on disk before this node stands on it, its sum before it', async () => {
    const swarm = committee(3);
    const { candidate, record } = await proposed(swarm);
    const node = swarm.node(1);
    const done: string[] = [];
    const append = node.blocks.append.bind(node.blocks);
    node.blocks.append = (one) => {
      done.push(`${node.ctx.chain.finalized.state.epoch} ${node.store.get(`aggregate/${one.block.header.aggregateHash}`) !== undefined}`);
      append(one);
    };
    await give(node, record, candidate.aggregate.header);
    assert.deepEqual([done, node.ctx.chain.finalized.state.epoch], [['0 true'], 1]);
  });
});

describe('a restart', () => {
  it('comes to the same final block from disk alone, snapshot or not', async () => {
    const swarm = committee(3, { snapshotEpochs: 2 });
    await grow(swarm, 3);
    const node = swarm.node(1);
    const [before, model] = [finalOf(node), await node.ctx.chain.model(3)];
    assert.deepEqual(await node.blobs.get(node.ctx.chain.at(2)?.state.modelRoot ?? ''), bytesOf(await node.ctx.chain.model(2)));
    node.connected = [];
    node.restart();
    assert.equal(await replayBlocks(node.ctx), 3);
    assert.deepEqual([finalOf(node), await node.ctx.chain.model(3)], [before, model]);
  });

  it('forgets blocks whose entries the disk lost, and takes them from peers again', async () => {
    const swarm = committee(3);
    const [, , last] = (await grow(swarm, 3)) as [BlockRecord, BlockRecord, BlockRecord];
    const node = swarm.node(1);
    node.restart();
    const { graph } = node.ctx.replica;
    const has = graph.has.bind(graph);
    graph.has = (id) => !last.block.body.roster.includes(id) && has(id);
    assert.deepEqual([await replayBlocks(node.ctx), node.blocks.head(), node.ctx.chain.finalized.state.epoch], [2, 2, 2]);
    graph.has = has;
    await give(node, last);
    assert.deepEqual(finalOf(node), finalOf(swarm.node(0)));
  });

  it('goes on from disk while blocks of peers come, and forgets none of them', async () => {
    for (const given of [4, 5]) {
      const swarm = committee(3, { snapshotEpochs: 3 });
      const records = await grow(swarm, 5);
      const node = swarm.node(1);
      node.blocks.truncate(3);
      node.restart();
      const { ctx, blobs } = node;
      const has = blobs.has.bind(blobs);
      // While the last block from disk keeps its snapshot, one that a peer gave is applied, and one more is here or not.
      blobs.has = async (root) => {
        blobs.has = has;
        for (const record of records.slice(3, given))
          ctx.finals.add({ record, header: heldHeader(ctx, record.block.header.aggregateHash) ?? null }, 3);
        assert.equal((await applyFinal(ctx)).kind, 'applied');
        return has(root);
      };
      assert.equal(await replayBlocks(ctx), 3);
      assert.deepEqual([ctx.chain.finalized.state.epoch, node.blocks.head()], [4, 4]);
      for (const record of records.slice(4)) await give(node, record);
      assert.deepEqual([finalOf(node), node.blocks.head()], [finalOf(swarm.node(0)), 5]);
    }
  });

  it('says which block is missing', async () => {
    const swarm = committee(3);
    await grow(swarm, 2);
    const node = swarm.node(1);
    node.restart();
    node.blocks.get = (epoch) => (epoch === 2 ? undefined : swarm.node(0).blocks.get(epoch));
    await assert.rejects(replayBlocks(node.ctx), (e: StarlingError) => e.code === 'DATA_CORRUPT' && e.message.includes('block 2'));
  });
});

describe('a rollback', () => {
  it('takes final blocks back in this node alone, and goes the same way again', async () => {
    const swarm = committee(3);
    const records = await grow(swarm, 4);
    const node = swarm.node(1);
    const { chain } = node.ctx;
    const [before, model, second] = [finalOf(node), await chain.model(4), chain.at(2)];
    node.blocks.truncate(2);
    chain.rollback(2);
    assert.deepEqual([chain.finalized, chain.head, chain.at(3)], [second, second, undefined]);
    assert.deepEqual([chain.order.size, chain.order.root()], [second?.state.treeSize, second?.state.treeRoot]);
    chain.rollback(3);
    assert.equal(chain.finalized, second, 'it never goes forward');
    const [old] = records as [BlockRecord];
    await give(node, old);
    assert.equal(chain.finalized, second, 'a block of the past is no news');
    for (const record of records.slice(2)) await give(node, record);
    assert.deepEqual([finalOf(node), await chain.model(4)], [before, model]);
  });

  it('never reaches under a block by dropping provisional steps', async () => {
    const swarm = committee(3);
    await grow(swarm, 2);
    const { chain } = swarm.node(0).ctx;
    const { finalized } = chain;
    assert.deepEqual(chain.rewind(0), []);
    assert.equal(chain.finalized, finalized);
    const draft = await chain.draft(
      finalized,
      { epoch: 3, prev: finalized.id, roster: [], weights: [], aggregateHash: '0'.repeat(64), dropped: [] },
      { header: undefined, sum: undefined },
    );
    const block = swarm.node(0).blocks.get(1)?.block ?? assert.fail('block 1');
    assert.throws(() => chain.finalise(block, draft), code('EPOCH_REGRESSION'));
    assert.deepEqual(sorted([chain.head.id]), [finalized.id]);
  });
});
