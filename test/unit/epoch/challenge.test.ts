import assert from 'node:assert/strict';
import type { ContentIndex } from '../../../src/crypto/index.ts';
import { archiveUpTo } from '../../../src/epoch/archiving.ts';
import { noteDivergence, ownBeat } from '../../../src/epoch/beats.ts';
import { challenge, type Question, serveChallenges } from '../../../src/epoch/challenge.ts';
import { Challenger } from '../../../src/epoch/challenger.ts';
import type { Divergence } from '../../../src/epoch/reach.ts';
import { Timers } from '../../../src/epoch/timers.ts';
import type { OrderedEntry } from '../../../src/ledger/index.ts';
import { type SignedEntry, StarlingError } from '../../../src/spec/index.ts';
import { type Challenge, decodeChallenge, encodeChallenge } from '../../../src/wire/index.ts';
import type { TestNode, TestSwarm } from '../../support/epochWorld.ts';
import { committee, finalise, wave } from '../../support/finalSteps.ts';

describe('what a peer holds on its disk', () => {
  let swarm: TestSwarm;
  beforeEach(async () => {
    swarm = committee(3);
    for (let epoch = 0; epoch < 2; epoch++) await finalise(swarm, await swarm.contribute([wave(epoch), wave(epoch + 3)]));
    for (const node of swarm.nodes) {
      await node.blobs.put(new Uint8Array(swarm.initialModel.buffer));
      node.handlers.set('challenge', serveChallenges(node.ctx));
    }
  });

  const ask = async (by: TestNode, of: TestNode, question: Question): Promise<Divergence | undefined> => {
    const indexOf = (root: string): Promise<ContentIndex | undefined> => by.blobs.index(root);
    const asking = challenge(by.ctx, of.identity.fingerprint, of.peer, question, indexOf);
    let isOver = false;
    void asking
      .then(
        () => true,
        () => true,
      )
      .finally(() => {
        isOver = true;
      });
    await swarm.clock.runUntil(() => isOver, swarm.clock.nowMs() + 60_000);
    return await asking;
  };
  const leaves = (node: TestNode): Question => ({ kind: 'entries', from: 0, to: node.ctx.chain.finalized.state.treeSize, root: null });
  const blocks: Question = { kind: 'blocks', from: 1, to: 3, root: null };

  it('is answered for alike by all who hold it', async () => {
    const [one, two] = [swarm.node(0), swarm.node(1)];
    const content: Question = { kind: 'content', from: 0, to: 1, root: swarm.genesis.initialModelRoot };
    for (const question of [leaves(one), blocks, content]) assert.equal(await ask(one, two, question), undefined);
    assert.deepEqual(
      two.asked.map(({ protocol }) => protocol).filter((name) => name === 'challenge'),
      [],
    );
    assert.equal(one.asked.filter(({ protocol }) => protocol === 'challenge').length, 3);
  });

  it('is found at the entry that was altered, that is gone, or that cannot be read', async () => {
    const [one, two] = [swarm.node(0), swarm.node(1)];
    const { id } = (one.ctx.chain.order.at(3) as OrderedEntry).entry;
    const { get } = two.entries;
    const said: unknown[] = [];
    const { journal } = two.ctx.ports;
    Object.assign(journal, { log: (_level: string, _room: string, _text: string, facts: { where?: string }) => said.push(facts.where) });
    const found = async (damage: (entry: SignedEntry) => SignedEntry | undefined): Promise<Divergence | undefined> => {
      two.entries.get = (wanted) => {
        const entry = get.call(two.entries, wanted);
        return wanted === id && entry !== undefined ? damage(entry) : entry;
      };
      return await ask(one, two, leaves(one));
    };
    const gone = await found(() => undefined);
    assert.deepEqual([gone?.field, gone?.where, gone?.there, gone?.sinceEpoch], ['entries', `leaf 3, entry ${id}`, 'unreadable', 2]);
    const unreadable = await found(() => {
      throw new StarlingError('DATA_CORRUPT', 'a page is damaged');
    });
    assert.equal(unreadable?.where, `leaf 3, entry ${id}`);
    assert.deepEqual(said, [gone?.where, gone?.where], 'it says so itself');
    const altered = await found((entry) => ({ ...entry, coreBytes: entry.coreBytes.map((b, i) => (i === 9 ? b ^ 1 : b)) }));
    assert.deepEqual([altered?.field, altered?.where], ['entries', `leaf 0 to ${leaves(one).to - 1}`]);
    assert.equal(await found((entry) => entry), undefined);
    // A lock, or a fault of this program, is no damage.
    await assert.rejects(
      found(() => {
        throw new StarlingError('DATA_IN_USE', 'locked');
      }),
      { code: 'DATA_IN_USE' },
    );
  });

  it('is found in blocks and in content; content that is not kept says nothing', async () => {
    const [one, two] = [swarm.node(0), swarm.node(1)];
    const content: Question = { kind: 'content', from: 0, to: 1, root: swarm.genesis.initialModelRoot };
    two.blobs.readChunk = async () => undefined;
    assert.equal(await ask(one, two, content), undefined);
    two.blobs.readChunk = async () => Uint8Array.of(1);
    assert.equal((await ask(one, two, content))?.where, `content ${content.root}, chunk 0`);
    const { get } = two.blocks;
    two.blocks.get = (epoch) => get.call(two.blocks, epoch === 2 ? 1 : epoch);
    assert.equal((await ask(one, two, blocks))?.where, 'block 1 to 2');
    // What this node does not hold itself it cannot judge.
    one.blobs.readChunk = async () => undefined;
    assert.equal(await ask(one, two, content), undefined);
  });

  it('is not asked beyond what is final there', async () => {
    const two = swarm.node(1);
    const serve = serveChallenges(two.ctx);
    const nonce = new Uint8Array(16);
    const { treeSize } = two.ctx.chain.finalized.state;
    for (const question of [
      { kind: 'entries', from: 0, to: treeSize + 1, root: null },
      { kind: 'blocks', from: 1, to: 4, root: null },
    ] as const)
      await assert.rejects(async () => serve('peer', encodeChallenge({ nonce, ...question })), { code: 'NOT_READY' });
  });

  it('is not judged by what is archived there, or has been while it was read', async () => {
    const [one, two] = [swarm.node(0), swarm.node(1)];
    const said: string[] = [];
    Object.assign(two.ctx.ports.journal, { log: (level: string) => said.push(level) });
    const get = two.blocks.get.bind(two.blocks);
    two.blocks.get = (epoch) => {
      two.blocks.get = get;
      archiveUpTo(two.ctx, 1);
      return get(epoch);
    };
    await assert.rejects(ask(one, two, blocks), { code: 'NOT_FOUND' });
    await assert.rejects(ask(one, two, blocks), { code: 'NOT_FOUND' });
    await assert.rejects(ask(one, two, leaves(one)), { code: 'NOT_FOUND' });
    assert.deepEqual(said, []);
    assert.equal(await ask(one, two, { ...blocks, from: 2 }), undefined);
    assert.equal(await ask(one, two, { ...leaves(one), from: two.ctx.chain.base.state.treeSize }), undefined);
  });

  it('is asked no more once peers may have archived it', async () => {
    const few = committee(3, { retainEpochs: 4 });
    const [one, two] = [few.node(2), few.node(1)];
    Object.assign(one.ctx, { nodeClass: 'observer' });
    const asked: Challenge[] = [];
    let isBusy = true;
    two.handlers.set('challenge', (_peer, payload) => {
      if (isBusy) throw new StarlingError('NOT_READY', 'this node starts');
      asked.push(decodeChallenge(payload));
      return serveChallenges(two.ctx)(_peer, payload);
    });
    const timers = new Timers(few.clock);
    new Challenger(one.ctx, timers).start();
    for (let epoch = 1; epoch < 7; epoch++) {
      await finalise(few, await few.contribute([wave(epoch)]));
      one.ctx.reach.hear(ownBeat(two.ctx, 0));
      await few.clock.runUntil(() => false, few.clock.nowMs() + 1_000);
    }
    isBusy = false;
    await few.clock.runUntil(() => false, few.clock.nowMs() + 30_000);
    timers.stop();
    const oldest = one.ctx.chain.at(4)?.state.treeSize;
    for (const { kind, from } of asked) assert.ok(from >= { entries: oldest ?? 0, blocks: 5, content: 0 }[kind], `${kind} from ${from}`);
    assert.deepEqual([...new Set(asked.map(({ kind }) => kind))].sort(), ['blocks', 'content', 'entries']);
  });

  it('is asked of everyone by an observer, of one in turn by a member; who differs is quarantined until it agrees', async () => {
    const [one, two] = [swarm.node(0), swarm.node(1)];
    const watch = (nodeClass: 'observer' | 'core'): Timers => {
      const timers = new Timers(swarm.clock);
      const ctx = Object.assign(one.ctx, { nodeClass });
      for (const other of swarm.nodes.slice(1)) ctx.reach.hear(ownBeat(other.ctx, 0));
      one.asked.splice(0);
      new Challenger(ctx, timers).start();
      return timers;
    };
    const asked = (): number => new Set(one.asked.flatMap(({ peer, protocol }) => (protocol === 'challenge' ? [peer] : []))).size;
    const member = watch('core');
    await swarm.clock.runUntil(() => false, swarm.clock.nowMs() + 5_000);
    member.stop();
    assert.equal(asked(), 1);

    const { readChunk } = two.blobs;
    two.blobs.readChunk = async () => Uint8Array.of(1);
    const observer = watch('observer');
    const isQuarantined = (): boolean => one.ctx.diverging.has(two.identity.fingerprint);
    assert.equal(await swarm.clock.runUntil(isQuarantined, swarm.clock.nowMs() + 5_000), true);
    assert.equal(asked(), 2);
    assert.equal(one.ctx.diverging.size, 1);
    noteDivergence(one.ctx, { ...ownBeat(two.ctx, 0), epoch: 3 });
    assert.equal(isQuarantined(), true, 'a heartbeat says nothing of the disk');
    two.blobs.readChunk = readChunk.bind(two.blobs);
    assert.equal(await swarm.clock.runUntil(() => !isQuarantined(), swarm.clock.nowMs() + 10_000), true);
    observer.stop();
  });
});
