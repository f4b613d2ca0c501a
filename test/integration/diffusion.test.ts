import assert from 'node:assert/strict';
import { World } from '../../src/simulation/index.ts';
import { Invariants } from '../../src/simulation/invariants.ts';
import type { SimulatedNode } from '../../src/simulation/node.ts';
import { Diffusing, ELEMENTS, recordOf, spreadOf, sumOf, UNIT } from '../support/diffusing.ts';

/** Edges of three in a line. */
const LINE = [
  [0, 1],
  [1, 2],
] as const;

/** Magnitude of the second eigenvalue of their mixing matrix, I - L / (1 + max degree): by power iteration on what has no mean. */
function secondEigenvalue(): number {
  let x = [1, 0.3, -0.8];
  let value = 0;
  for (let iteration = 0; iteration < 200; iteration++) {
    const mean = x.reduce((a, b) => a + b, 0) / x.length;
    const norm = Math.hypot(...x.map((v) => v - mean));
    const unit = x.map((v) => (v - mean) / norm);
    x = [...unit];
    for (const [a, b] of LINE) {
      const flow = ((unit[b] as number) - (unit[a] as number)) / 3;
      x[a] = (x[a] as number) + flow;
      x[b] = (x[b] as number) - flow;
    }
    value = Math.hypot(...x);
  }
  return value;
}

/** What each of the three learns, in units: f32 holds all that comes of it. */
const lessonOf = (i: number): number[] => Array.from({ length: ELEMENTS }, (_, k) => (7 * i + 3 * k) * 5_003 * (k % 2 === 0 ? 1 : -1) + i);

const added = (lessons: readonly number[][]): number[] => sumOf(lessons.map((lesson) => Int32Array.from(lesson)));

describe('nodes that diffuse without a quorum', function () {
  this.timeout(60_000);

  async function withLine(seed: number, body: (d: Diffusing) => Promise<void>): Promise<void> {
    const d = new Diffusing(seed);
    try {
      await d.part();
      await body(d);
      assert.deepEqual(d.invariants.violations, []);
      assert.deepEqual(
        d.world.nodes.map(({ fatal }) => fatal),
        d.world.nodes.map(() => undefined),
      );
    } finally {
      d.world.stop();
    }
  }

  const learnAll = async (d: Diffusing): Promise<void> => {
    for (const [i, node] of d.line.entries()) await d.learn(node, lessonOf(i));
  };

  it('keep the sum of what they learned to the integer, and come to its mean at the rate of the second eigenvalue', async () => {
    await withLine(1, async (d) => {
      await d.round();
      await learnAll(d);
      const total = added(d.line.map((_, i) => lessonOf(i)));
      assert.deepEqual(sumOf(d.rows()), total);
      const rate = secondEigenvalue();
      assert.ok(Math.abs(rate - 2 / 3) < 1e-9);
      let spread = spreadOf(d.rows());
      for (let round = 0; round < 25; round++) {
        await d.round();
        assert.deepEqual(sumOf(d.rows()), total);
        const now = spreadOf(d.rows());
        // A flow is rounded by half a unit at most.
        assert.ok(now <= rate * spread + Math.sqrt(2 * ELEMENTS), `round ${round}: ${now} after ${spread}`);
        spread = now;
      }
      for (const row of d.rows()) for (const [k, v] of row.entries()) assert.ok(Math.abs(v - (total[k] as number) / 3) <= 3);
      // The model of each is the final one and all of its row.
      const [node] = d.line as [SimulatedNode];
      const { chain } = node.up.ctx;
      const base = await chain.model(chain.finalized.state.epoch);
      const expected = base.map((v, k) => v + (d.rows()[0]?.[k] as number) * UNIT);
      assert.deepEqual(await node.up.model(), expected);
      assert.equal(chain.isProvisional, false);
    });
  });

  it('hand in all of it once a quorum is there: what is in blocks, in residuals and in rows adds up to what was learned', async () => {
    await withLine(2, async (d) => {
      await learnAll(d);
      for (let round = 0; round < 4; round++) await d.round();
      await d.learn(d.line[0] as SimulatedNode, lessonOf(5));
      await d.round();
      const total = added([0, 1, 2, 5].map(lessonOf)).map((v) => v * UNIT);
      assert.deepEqual([...(await d.owned())], total);
      d.world.network.heal();
      await d.until(() => d.line.every((n) => n.up.ctx.quorate && n.up.diffusion === undefined), 20_000, 'a quorum again');
      const nothing = new Array<number>(ELEMENTS).fill(0);
      for (let n = 0; n < 2; n++) {
        const next = Math.max(...d.world.nodes.map((node) => node.up.ctx.chain.finalized.state.epoch)) + 1;
        for (const node of d.world.nodes) await d.learn(node, nothing);
        const isFinal = () => d.world.nodes.every((node) => node.up.ctx.chain.finalized.state.epoch >= next);
        await d.until(isFinal, 20_000, `block ${next}`);
        await d.world.run(1_000);
        assert.deepEqual([...(await d.owned())], total);
      }
      // int16 at the first scale holds it: less than a step of each element is left to the three.
      assert.deepEqual(sumOf(d.rows()), nothing);
      const { chain } = d.world.node(0).up.ctx;
      const authors = chain.contributionsOf(chain.head.body ?? assert.fail('no block')).map(({ core }) => core.author);
      for (const node of d.line) assert.ok(authors.includes(node.identity.fingerprint));
      const model = await chain.model(chain.head.state.epoch);
      assert.ok(model.every((v, k) => Math.sign(v) === Math.sign(total[k] as number)));
      assert.equal(d.invariants.lost().size, 0);
    });
  });

  it('neither lose nor double what is on its way when one of them dies: it asks again after its restart', async () => {
    await withLine(3, async (d) => {
      // An end has offered and has no answer, and the other has taken its half of what flows.
      const doubt = (): SimulatedNode | undefined =>
        d.line.find((asker) =>
          d.line.some((other) => {
            const asked = recordOf(asker)?.edges.get(other.identity.fingerprint);
            const taken = recordOf(other)?.edges.get(asker.identity.fingerprint);
            const isAsker = asker.identity.fingerprint < other.identity.fingerprint;
            return isAsker && asked !== undefined && asked.version !== null && asked.seq === taken?.seq && taken.version !== null;
          }),
        );
      for (let crash = 1; crash <= 3; crash++) {
        await d.round();
        await learnAll(d);
        const total = added(d.line.map((_, i) => lessonOf(i))).map((v) => crash * v);
        await d.until(() => doubt() !== undefined, 20_000, 'a flow on its way');
        assert.notDeepEqual(sumOf(d.rows()), total);
        const node = doubt() ?? assert.fail('settled');
        node.kill();
        await node.start();
        node.attachTrainer();
        await d.round();
        await d.round();
        await d.round();
        assert.deepEqual(sumOf(d.rows()), total);
      }
    });
  });

  it('neither lose nor double anything when the power goes in the middle of a write', async () => {
    await withLine(4, async (d) => {
      await learnAll(d);
      const total = added(d.line.map((_, i) => lessonOf(i)));
      for (let crash = 0; crash < 12; crash++) {
        const node = d.line[crash % 3] as SimulatedNode;
        node.killInWrite(1 + crash);
        await d.until(() => node.engine === undefined, 20_000, 'the power goes');
        await node.start();
        node.attachTrainer();
        if (crash % 3 === 2) {
          await d.round();
          await d.round();
          await d.round();
          assert.deepEqual(sumOf(d.rows()), total, `crash ${crash}`);
        }
      }
    });
  });

  for (const [schedule, phases] of [
    ['gossip', ['negotiating', 'voting']],
    ['ring', ['averaging', 'voting']],
  ] as const)
    it(`decide nothing, also where the quorum goes in the midst of an epoch by ${schedule}, and go on with blocks after the heal`, async () => {
      const rules = { withoutQuorum: 'diffuse', schedule } as const;
      const world = new World({ nodes: 7, seed: 5, parameters: 16, trainMs: [50, 200], rules });
      const { clock, network } = world;
      const invariants = new Invariants(world.nodes, () => clock.nowMs());
      const until = async (done: () => boolean, withinMs: number, what: string): Promise<void> => {
        const isDone = (): boolean => {
          invariants.observe();
          return done();
        };
        assert.ok(await clock.runUntil(isDone, clock.nowMs() + withinMs), what);
      };
      const finals = (): number[] => world.nodes.map((n) => n.up.ctx.chain.finalized.state.epoch);
      try {
        await world.boot();
        for (const phase of phases) {
          const first = Math.max(...finals());
          await until(() => Math.min(...finals()) > first, 60_000, 'blocks');
          await until(() => world.nodes.filter((n) => n.up.state.phase === phase).length >= 4, 60_000, phase);
          const peers = world.nodes.map((n) => n.identity.peerId);
          network.partition(peers.slice(0, 4), peers.slice(4));
          await until(() => world.nodes.every((n) => (n.up.diffusion?.round ?? 0) > 0), 20_000, 'neither side has a quorum');
          const start = world.nodes.map((n) => n.up.diffusion?.round ?? 0);
          const goesOn = () => world.nodes.every((n, i) => (n.up.diffusion?.round ?? 0) > (start[i] as number) + 3);
          await until(goesOn, 20_000, 'both mix');
          for (const { up } of world.nodes) {
            // What was averaged for a vote waits for it; no roster is made.
            assert.ok(['idle', 'voting'].includes(up.state.phase), up.state.phase);
            assert.equal(up.ctx.chain.isProvisional, false);
            assert.ok(![...up.ctx.replica.graph.entries()].some(({ core }) => core.kind === 'decision'));
            // What it goes on from is its own.
            assert.notDeepEqual(await up.model(), await up.ctx.chain.model(up.ctx.chain.head.state.epoch));
          }
          network.heal();
          const most = Math.max(...finals());
          await until(() => Math.min(...finals()) > most, 60_000, `blocks after ${phase}`);
        }
        world.training = false;
        await until(() => invariants.lost().size === 0, 60_000, 'nothing acknowledged is lost');
        assert.deepEqual(invariants.violations, []);
      } finally {
        world.stop();
      }
    });
});
