import assert from 'node:assert/strict';
import { fetchArchive, serveArchive } from '../../../src/epoch/archiveSync.ts';
import { fetchBlocks, serveBlocks, tryFetchBlocks } from '../../../src/epoch/blockSync.ts';
import { World } from '../../../src/simulation/index.ts';
import { FRAME_MAX_BYTES, type StarlingError } from '../../../src/spec/index.ts';
import {
  type ArchiveAnswer,
  type ArchiveRequest,
  blockHash,
  decodeArchiveAnswer,
  decodeArchiveRequest,
  decodeBase,
  decodeSegment,
  encodeArchiveAnswer,
  encodeArchiveRequest,
  encodeBase,
  encodeSegment,
} from '../../../src/wire/index.ts';
import { TestNode } from '../../support/epochWorld.ts';
import { committee, finalise, wave } from '../../support/finalSteps.ts';

const RULES = { snapshotEpochs: 2, retainEpochs: 2, clipNorm: 10_000 } as const;
const EPOCHS = 8;
/** What the archive ends with after EPOCHS blocks. */
const BASE = 6;

/** Three nodes over eight blocks of which they have archived six, and a newcomer; the first two are asked. */
async function setting() {
  const swarm = committee(4, RULES);
  const up = swarm.nodes.slice(0, 3);
  const more = async (epochs: number): Promise<void> => {
    for (let n = 0; n < epochs; n++) {
      const epoch = swarm.node(0).ctx.chain.head.state.epoch;
      await finalise(swarm, epoch % 2 === 1 ? await swarm.contribute(up.map((_, i) => wave(epoch + i))) : [], up);
    }
  };
  await more(EPOCHS);
  const late = new TestNode(swarm, 3, 'core');
  late.ctx.quorate = true;
  swarm.nodes[3] = late;
  for (const node of up) {
    node.handlers.set('blocks', async (_from, payload) => serveBlocks(node.ctx, payload));
    node.handlers.set('archive', async (_from, payload) => serveArchive(node.ctx, payload));
  }
  return { swarm, more, liar: swarm.node(0), donor: swarm.node(1), late };
}

const ask = (node: TestNode, request: ArchiveRequest): ArchiveAnswer =>
  decodeArchiveAnswer(serveArchive(node.ctx, encodeArchiveRequest(request)));
const NOTHING: ArchiveAnswer = { total: 0, part: new Uint8Array() };
const all = (bytes: Uint8Array, offset = 0): ArchiveAnswer => ({ total: bytes.length, part: bytes.subarray(offset) });

/** `node` answers like this from now on, `n` counting questions. Returns how often it was asked. */
function lies(node: TestNode, answer: (request: ArchiveRequest, honest: ArchiveAnswer, n: number) => ArchiveAnswer): () => number {
  let asked = 0;
  node.handlers.set('archive', async (_from, payload) => {
    const request = decodeArchiveRequest(payload);
    return encodeArchiveAnswer(answer(request, ask(node, request), asked++));
  });
  return () => asked;
}

/** What is on a node's disk and in its memory of the chain. */
const stand = ({ ctx, blocks, entries }: TestNode) => ({
  base: ctx.chain.base.state.epoch,
  epoch: ctx.chain.finalized.state.epoch,
  root: ctx.chain.finalized.stateRoot,
  places: ctx.replica.graph.size,
  ordered: ctx.chain.order.size,
  onDisk: [blocks.base()?.epoch, blocks.head(), entries.size(), [...blocks.segments()].length],
});

describe('the archive from a peer', function () {
  this.timeout(20_000);

  it('puts a newcomer on the base of the peer, over a restart too, and blocks lead on from there', async () => {
    const { donor, late, swarm } = await setting();
    assert.equal(donor.ctx.chain.base.state.epoch, BASE);
    await fetchBlocks(late.ctx, donor.peer);
    assert.equal(late.ctx.chain.base.state.epoch, BASE);
    const { state } = late.ctx.chain.base;
    assert.deepEqual(state, donor.ctx.chain.base.state);
    assert.deepEqual(
      late.ctx.chain.order.slice(0, state.treeSize),
      donor.ctx.chain.order.slice(0, state.treeSize),
      'every leaf with its place',
    );
    late.restart();
    late.ctx.quorate = true;
    assert.deepEqual(late.ctx.chain.base.state, state);
    await fetchBlocks(late.ctx, donor.peer);
    swarm.share();
    await late.apply();
    assert.equal(late.ctx.chain.finalized.stateRoot, donor.ctx.chain.finalized.stateRoot);
    assert.deepEqual(late.ctx.replica.graph.authors(), donor.ctx.replica.graph.authors());
  });

  const LIES: readonly (readonly [
    what: string,
    answer: (request: ArchiveRequest, honest: ArchiveAnswer, n: number) => ArchiveAnswer,
    code: RegExp,
    asked: number,
  ])[] = [
    ['no archive', () => NOTHING, /PROTOCOL_VIOLATION/, 2],
    ['a part that is cut short', (_r, { total, part }) => ({ total, part: part.subarray(1) }), /PROTOCOL_VIOLATION/, 1],
    ['one byte at a time', (_r, { total, part }) => ({ total, part: part.subarray(0, 1) }), /PROTOCOL_VIOLATION/, 1],
    ['an empty part', (_r, { total }) => ({ total, part: new Uint8Array() }), /PROTOCOL_VIOLATION/, 1],
    [
      'parts whose whole changes',
      (_r, _h, n) => ({ total: FRAME_MAX_BYTES + n, part: new Uint8Array(FRAME_MAX_BYTES / 2) }),
      /PROTOCOL_VIOLATION/,
      2,
    ],
    ['noise for a segment', () => all(new Uint8Array(100).fill(7)), /MALFORMED/, 1],
    ['a base for a segment', (r, honest) => (r.epoch === null ? honest : NOTHING), /BAD_ARCHIVE/, 4],
    ['noise for a base', ({ epoch }, honest) => (epoch === null ? all(new Uint8Array(99).fill(1)) : honest), /MALFORMED/, 9],
  ];
  for (const [what, answer, code, asked] of LIES)
    it(`ends with ${what}: the peer is named, nothing has changed, and another is asked`, async () => {
      const { liar, donor, late } = await setting();
      const before = stand(late);
      const count = lies(liar, answer);
      await assert.rejects(fetchArchive(late.ctx, liar.peer), (e: StarlingError) => code.test(e.code) && e.facts.peer === liar.peer);
      assert.ok(count() <= asked, `asked ${count()} times`);
      assert.equal(await tryFetchBlocks(late.ctx, liar.peer), false);
      assert.deepEqual(stand(late), before);
      assert.equal(await tryFetchBlocks(late.ctx, donor.peer), true);
      assert.equal(stand(late).base, BASE);
    });

  it('ends at the first segment that a quorum did not sign, however many would follow', async () => {
    const { liar, late } = await setting();
    const { total, part } = ask(liar, { epoch: 1, offset: 0 });
    assert.equal(part.length, total);
    const honest = decodeSegment(part);
    const [header] = honest.headers;
    assert.ok(header !== undefined);
    const count = lies(liar, ({ epoch }) => {
      const made = { ...header, treeSize: 0, treeRoot: late.ctx.chain.finalized.state.treeRoot, epoch: epoch ?? 1 };
      const certificate = { ...honest.certificate, epoch: 1, block: blockHash(made) };
      return all(encodeSegment({ ...honest, headers: [made], leaves: [], joins: [], handovers: [], certificate }));
    });
    await assert.rejects(fetchArchive(late.ctx, liar.peer), { code: 'BAD_SIGNATURE' });
    assert.equal(count(), 1);
  });

  it('ends with a segment that tells of nothing new, and with a base that stays behind', async () => {
    const { liar, late } = await setting();
    const one = ask(liar, { epoch: 1, offset: 0 });
    const count = lies(liar, ({ epoch }, honest) => (epoch === null ? honest : one));
    await assert.rejects(fetchArchive(late.ctx, liar.peer), { code: 'BAD_ARCHIVE' });
    assert.ok(count() <= 2);
    const base = decodeBase(ask(liar, { epoch: null, offset: 0 }).part);
    lies(liar, ({ epoch }, honest) => (epoch === null ? all(encodeBase({ ...base, epoch: 2 })) : honest));
    await assert.rejects(fetchArchive(late.ctx, liar.peer), { code: 'BAD_ARCHIVE' });
    lies(liar, ({ epoch }, honest) =>
      epoch === null ? all(encodeBase({ ...base, state: base.state.map((b, i) => (i > 99 ? b ^ 1 : b)) })) : honest,
    );
    await assert.rejects(fetchArchive(late.ctx, liar.peer), { code: /HASH_MISMATCH|MALFORMED|NON_CANONICAL/ });
    assert.equal(stand(late).epoch, 0);
  });

  it('is followed to a base that moves on meanwhile', async () => {
    const { donor, late, more } = await setting();
    let moved = false;
    donor.handlers.set('archive', async (_from, payload) => {
      if (decodeArchiveRequest(payload).epoch === null && !moved) {
        moved = true;
        await more(4);
      }
      return serveArchive(donor.ctx, payload);
    });
    await fetchArchive(late.ctx, donor.peer);
    assert.ok(moved);
    assert.equal(stand(late).base, BASE + 4);
    assert.deepEqual(late.ctx.chain.base.state, donor.ctx.chain.base.state);
  });

  it('is let go where this node moves on, or is rolled back, while it comes', async () => {
    const { donor, liar, late } = await setting();
    lies(liar, (request, honest) => {
      if (request.epoch === null) late.ctx.pinned = 0;
      return honest;
    });
    const before = stand(late);
    await fetchArchive(late.ctx, liar.peer);
    assert.deepEqual(stand(late), before);
    late.ctx.pinned = undefined;
    liar.handlers.set('archive', async (_from, payload) => {
      if (decodeArchiveRequest(payload).epoch === null) await fetchArchive(late.ctx, donor.peer);
      return serveArchive(liar.ctx, payload);
    });
    await fetchArchive(late.ctx, liar.peer);
    assert.deepEqual(stand(late).onDisk[0], BASE);
  });

  it('is taken where blocks wait for entries that are archived, and lets those blocks go', async () => {
    const { donor, late, more } = await setting();
    const waiting = late.ctx.finals;
    for (let epoch = 1; epoch <= 3; epoch++) {
      // Of a peer that has not pruned; what they stand on never came.
      const record = donor.blocks.get(BASE + 1);
      assert.ok(record !== undefined);
      const header = { ...record.block.header, epoch };
      waiting.add({ record: { ...record, block: { ...record.block, header } }, header: null }, 0);
    }
    for (let epoch = BASE + 1; epoch <= EPOCHS; epoch++) {
      const record = donor.blocks.get(epoch);
      assert.ok(record !== undefined);
      waiting.add({ record, header: null }, 0);
    }
    await more(2);
    await fetchBlocks(late.ctx, donor.peer);
    assert.equal(stand(late).base, BASE + 2);
    assert.deepEqual(
      [1, 2, 3, BASE + 1, BASE + 2].filter((epoch) => waiting.get(epoch) !== undefined),
      [],
    );
  });

  it('is on the chain before entries that waited for it are heard of', async () => {
    const { donor, late } = await setting();
    const whole = [...donor.ctx.replica.graph.entries()].filter(({ core }) => core.kind !== 'join');
    late.take(whole);
    const heard: (number | undefined)[] = [];
    late.ctx.replica.onAccepted(() => heard.push(late.ctx.chain.base.state.epoch));
    await fetchArchive(late.ctx, donor.peer);
    assert.ok(heard.length > 0, 'nothing waited');
    assert.deepEqual(new Set(heard), new Set([BASE]));
  });

  it('stands although the disk does not let the entries go that it takes the place of; the next start drops them', async () => {
    const { donor, late } = await setting();
    const full = late.entries.drop;
    late.entries.drop = () => {
      throw new Error('full');
    };
    await assert.rejects(fetchArchive(late.ctx, donor.peer), { code: 'INTERNAL' });
    late.entries.drop = full;
    assert.deepEqual([stand(late).base, stand(late).epoch, stand(late).onDisk[0]], [BASE, BASE, BASE]);
    late.restart();
    assert.deepEqual(late.ctx.chain.base.state, donor.ctx.chain.base.state);
  });
});

describe('a crash while an archive is taken', function () {
  this.timeout(120_000);
  const rules = { minDeadlineMs: 100, snapshotEpochs: 3, retainEpochs: 4 } as const;

  it('at any write leaves a newcomer that goes on', async () => {
    const world = new World({ nodes: 4, seed: 5, rules, late: new Set([3]) });
    try {
      await world.boot();
      const finalAt = (i: number): number => world.node(i).engine?.ctx.chain.finalized.state.epoch ?? -1;
      const until = (isSo: () => boolean): Promise<boolean> => world.clock.runUntil(isSo, world.clock.nowMs() + 60_000);
      assert.ok(await until(() => [0, 1, 2].every((i) => finalAt(i) >= 12)));
      const late = world.node(3);
      for (let write = 1; write <= 6; write++) {
        late.disk.wipe();
        await late.start();
        late.killInWrite(write);
        assert.ok(await until(() => late.engine === undefined), `nothing was written ${write} times`);
        await late.start();
        const goal = finalAt(0) + 1;
        assert.ok(await until(() => finalAt(3) >= goal), `stands at ${finalAt(3)} after a cut at write ${write}`);
        assert.equal(late.fatal, undefined);
        assert.ok(late.up.ctx.chain.base.state.epoch > 0);
        late.kill();
      }
    } finally {
      world.stop();
    }
  });

  it('at any write of a prune loses no block, also to one that nobody could give it back', async () => {
    const world = new World({ nodes: 1, seed: 7, rules });
    try {
      await world.boot();
      const node = world.node(0);
      const head = (): number => node.disk.blocks.head();
      const until = (isSo: () => boolean): Promise<boolean> => world.clock.runUntil(isSo, world.clock.nowMs() + 60_000);
      assert.ok(await until(() => head() >= 8));
      const { blocks } = node.disk;
      const append = blocks.append.bind(blocks);
      const [moved, kept] = [new Set<number>(), new Set<number>()];
      // What is written after the block of a snapshot, write by write.
      for (let write = 1; write <= 12; write++) {
        const base = blocks.base()?.epoch;
        blocks.append = (record) => {
          append(record);
          if (record.block.header.epoch % rules.snapshotEpochs === 0) node.killInWrite(write);
        };
        assert.ok(await until(() => node.engine === undefined), `nothing is written ${write} times`);
        blocks.append = append;
        (blocks.base()?.epoch === base ? kept : moved).add(write);
        const left = head();
        await node.start();
        assert.equal(node.up.ctx.chain.finalized.state.epoch, left, `after a cut at write ${write}`);
        assert.equal(head(), left);
        assert.equal(node.fatal, undefined);
        node.attachTrainer();
        const { epoch } = node.up.ctx.chain.base.state;
        assert.ok(await until(() => node.up.ctx.chain.base.state.epoch > epoch), 'it prunes again');
      }
      assert.ok(moved.size > 1 && kept.size > 1, `${moved.size} cuts after the archive, ${kept.size} before it`);
      const { base, finalized } = node.up.ctx.chain;
      assert.ok(base.state.epoch >= finalized.state.epoch - rules.retainEpochs - 2 * rules.snapshotEpochs, 'and prunes as before');
    } finally {
      world.stop();
    }
  });
});
