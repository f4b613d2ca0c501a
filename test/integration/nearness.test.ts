import assert from 'node:assert/strict';
import { layoutOf } from '../../src/epoch/exchange/plans.ts';
import { costOf } from '../../src/epoch/linkClaims.ts';
import { World } from '../../src/simulation/index.ts';
import type { EntryId, PeerId } from '../../src/spec/index.ts';

/** Nodes, in two sites in turn; ms one way within a site and between two; epochs that are looked at. */
const NODES = 8;
const WITHIN_MS = 1;
const BETWEEN_MS = 40;
const EPOCHS = 4;

interface Seen {
  /** Links of the ring between the sites, by epoch. */
  readonly crossings: readonly number[];
  /** Virtual ms from a settled roster to its sum, on average over epochs and nodes. */
  readonly sumMs: number;
}

/** `isTold`: whether entries tell of links. */
async function epochsOf(isTold: boolean): Promise<Seen> {
  const indexOf = new Map<PeerId, number>();
  const apartMs = (a: PeerId, b: PeerId): number =>
    ((indexOf.get(a) ?? 0) - (indexOf.get(b) ?? 0)) % 2 === 0 ? 0 : BETWEEN_MS - WITHIN_MS;
  const world = new World({
    nodes: NODES,
    seed: 3,
    rules: { schedule: 'ring' },
    link: { minDelayMs: WITHIN_MS, maxDelayMs: WITHIN_MS, apartMs },
  });
  for (const { identity, index } of world.nodes) indexOf.set(identity.peerId, index);
  try {
    await world.boot();
    if (!isTold) for (const node of world.nodes) Object.assign(node.up.ctx.links, { exponent: () => 0 });
    const first = Math.min(...world.running.map((n) => n.up.ctx.chain.head.state.epoch)) + 2;
    assert.ok(await world.reach(first + EPOCHS - 1, 120_000));
    const { ctx } = world.node(0).up;
    const siteOf = new Map(world.nodes.map(({ identity, index }) => [identity.fingerprint, index % 2]));
    const authorOf = (id: EntryId) => ctx.replica.graph.get(id)?.core.author;
    const crossings = Array.from({ length: EPOCHS }, (_, i) => {
      const { body } = ctx.chain.at(first + i) ?? assert.fail('not applied');
      const base = ctx.chain.at(first + i - 1)?.state ?? assert.fail('no base');
      const { roster = [], weights = [] } = body ?? {};
      assert.equal(roster.length, NODES);
      const cost = costOf(ctx, base, roster);
      assert.equal(cost !== undefined, isTold);
      const attempt = { swarm: ctx.swarm, epoch: first + i, base: base.decision, number: 0, roster, dropped: [], broken: [] };
      const { order } = layoutOf({ genesis: ctx.genesis, elements: 64, attempt, weights, cost, authorOf });
      return order.filter((node, rank) => siteOf.get(node) !== siteOf.get(order[(rank + 1) % NODES] as string)).length;
    });
    const tookMs = world.nodes.flatMap(({ up }) =>
      crossings.flatMap((_, i) => up.ctx.timeline.of(first + i).flatMap(({ step, tookMs: ms }) => (step === 'average' ? [ms ?? 0] : []))),
    );
    return { crossings, sumMs: tookMs.reduce((sum, ms) => sum + ms, 0) / tookMs.length };
  } finally {
    world.stop();
  }
}

describe('a simulated swarm in two sites', function () {
  this.timeout(120_000);

  it('measures its links, tells of them, and sums with two links between the sites, sooner than in the order of the beacon', async () => {
    const near = await epochsOf(true);
    const plain = await epochsOf(false);
    assert.deepEqual(near.crossings, Array(EPOCHS).fill(2));
    assert.ok(Math.max(...plain.crossings) > 2);
    assert.ok(near.sumMs < 0.85 * plain.sumMs, `${near.sumMs} ms against ${plain.sumMs}`);
  });
});
