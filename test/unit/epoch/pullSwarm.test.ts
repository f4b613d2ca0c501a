import assert from 'node:assert/strict';
import type { StarlingError } from '../../../src/spec/index.ts';
import { CHUNK_BYTES } from '../../../src/spec/index.ts';
import { type Manner, PullWorld } from '../../support/pullWorld.ts';

const contentOf = (chunks: number): Uint8Array => new Uint8Array(chunks * CHUNK_BYTES - 100).map((_, i) => ((i * 7) >> 3) ^ (i >> 18));
/** Forty chunks: an update of five million parameters. */
const CHUNKS = 40;
const content = contentOf(CHUNKS);
const copies = (bytes: number): number => bytes / content.byteLength;

describe('many that pull one content at once', () => {
  for (const nodes of [6, 9])
    it(`take two copies from its author, not ${nodes - 1}, and the rest from each other (${nodes - 1} receivers)`, async () => {
      // Ten million parameters.
      const content = contentOf(80);
      for (const seed of [1, 2]) {
        const world = new PullWorld(nodes, content, seed);
        assert.ok(await world.until(world.others.map((node) => world.pull(node))));
        for (const { content: got } of world.others) assert.ok(got !== undefined && Buffer.from(got).equals(content));
        const author = world.author.sent / content.byteLength;
        const all = world.nodes.reduce((sum, { sent }) => sum + sent, 0) / content.byteLength / (nodes - 1);
        assert.ok(author >= 1 && author < 2, `the author sent ${author} copies`);
        // Chunks, questions, and what is asked for twice at the end.
        assert.ok(all < 1.25, `${all} copies for each receiver`);
        // All by the author takes it nodes - 1 copies' time; here four at the very most.
        assert.ok(world.clock.nowMs() < (2.5 * content.byteLength) / 12_500, `${world.clock.nowMs()} ms`);
      }
    });

  for (const manner of ['gone', 'stalls', 'lies'] as const satisfies readonly Manner[])
    it(`have it all the same when one of them is bad, and it costs each a chunk at most (${manner})`, async () => {
      const world = new PullWorld(6, content, 5);
      const [bad, ...good] = world.others;
      assert.ok(bad !== undefined);
      const faults: string[] = [];
      const onFault = (peer: string, { code }: StarlingError) => void faults.push(`${peer} ${code}`);
      const pulling = good.map((node) => world.pull(node, { onFault }));
      const its = world.pull(bad).catch(() => undefined);
      // It has some of it by then, and they count on it.
      assert.ok(await world.clock.runUntil(() => (bad.pulls.partial(world.root)?.held.size ?? 0) >= 8, 60_000));
      bad.manner = manner;
      bad.asked = 0;
      assert.ok(await world.until([...pulling]));
      void its;
      for (const { content: got } of good) assert.ok(got !== undefined && Buffer.from(got).equals(content));
      assert.ok(
        faults.every((fault) => fault.startsWith(bad.peer)),
        `${faults}`,
      );
      // What was under way when it began to lie: three of each.
      if (manner === 'lies') assert.ok(bad.asked <= 3 * good.length, `${bad.asked} chunks were asked of a liar`);
      assert.ok(copies(world.author.sent) < 2.5, `the author sent ${copies(world.author.sent)} copies`);
      assert.ok(world.clock.nowMs() < 20_000, `${world.clock.nowMs()} ms`);
    });

  it('go on from each other when the author dies, once every chunk is somewhere', async () => {
    const world = new PullWorld(6, content, 7);
    const pulling = world.others.map((node) => world.pull(node));
    const held = (): number => new Set(world.others.flatMap((node) => [...(node.pulls.partial(world.root)?.held ?? [])])).size;
    assert.ok(await world.clock.runUntil(() => held() === CHUNKS, 60_000));
    assert.ok(
      world.others.every(({ content: got }) => got === undefined),
      'nobody has all of it',
    );
    world.author.manner = 'gone';
    const attempts = world.others.map(async (node, i) => {
      // An attempt may end when nobody in reach has more for now: the next goes on from there.
      await pulling[i]?.catch(() => undefined);
      while (node.content === undefined) {
        await new Promise<void>((resolve) => world.clock.after(300, resolve));
        await world.pull(node).catch(() => undefined);
      }
    });
    assert.ok(await world.until(attempts));
    for (const { content: got } of world.others) assert.ok(got !== undefined && Buffer.from(got).equals(content));
  });

  it('serve what they have when their own attempt has ended', async () => {
    const world = new PullWorld(3, content, 9);
    const [first, second] = world.others as [typeof world.author, typeof world.author];
    const abort = new AbortController();
    const pulling = world.pull(first, { signal: abort.signal });
    assert.ok(await world.clock.runUntil(() => (first.pulls.partial(world.root)?.held.size ?? 0) >= 30, 60_000));
    abort.abort(new Error('enough'));
    await assert.rejects(pulling, /enough/);
    const before = world.author.sent;
    assert.ok(await world.until([world.pull(second)]));
    assert.ok(first.asked > 15, `${first.asked} chunks came from the one that had given up`);
    assert.ok(copies(world.author.sent - before) < 0.6);
    const sent = first.sent;
    assert.ok(await world.until([world.pull(first)]));
    assert.ok(copies(world.nodes.reduce((sum, { sent: bytes }) => sum + bytes, 0) - before - sent) < 1.5);
  });
});
