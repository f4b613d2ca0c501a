import assert from 'node:assert/strict';
import { proposerOrder } from '../../src/consensus/index.ts';
import { pause } from '../../src/epoch/exchange/world.ts';
import type { EpochPorts } from '../../src/epoch/index.ts';
import { World, type WorldOptions } from '../../src/simulation/index.ts';
import { votersOf } from '../../src/state/index.ts';
import { epochs } from '../support/simulated.ts';

type SimulatedNode = World['nodes'][number];

/** Ms of virtual time that node `i` works on an update before it can announce it, as a large model's takes. */
const PREPARE_MS = 800;
/** Ms between the first and the last of those who push "at once". */
const SPREAD_MS = 300;
/** Ms after which rounds are over that a proposal has begun too early: the first, the second and the beginning of the third. */
const HASTE_MS = 6_000;
/** Ms in which an epoch of so many must be over: what the genesis allows, the negotiation and the vote. */
const EPOCH_MS = 20_000;

/** Each norm of a whole update takes a while, the longer the higher the index. */
const slow = (node: SimulatedNode, ports: EpochPorts): EpochPorts => ({
  ...ports,
  compute: {
    ...ports.compute,
    sqNorm: async (row) => {
      await pause(ports.clock, PREPARE_MS + (node.index * SPREAD_MS) / 2);
      return ports.compute.sqNorm(row);
    },
  },
});

describe('updates that are pushed at once to nodes without a trainer', function () {
  this.timeout(120_000);

  async function pushed(options: WorldOptions, body: (world: World) => Promise<void>): Promise<void> {
    const world = new World({ intercept: slow, ...options });
    try {
      world.training = false;
      await world.boot();
      for (const { up } of world.nodes) up.setTrainers(0);
      await world.run(1_000);
      await body(world);
    } finally {
      world.stop();
    }
  }

  /** One update of each of these nodes, begun within `SPREAD_MS`; resolves with the authors of the roster and how long that took. */
  async function push(world: World, nodes: readonly SimulatedNode[]): Promise<{ readonly authors: Set<string>; readonly tookMs: number }> {
    const epoch = (epochs(world)[0] as number) + 1;
    const values = new Float32Array(world.initialModel.length).fill(0.01);
    const sinceMs = world.clock.nowMs();
    const receipts = nodes.map(async ({ up }, i) => {
      await pause(world.clock, (i * SPREAD_MS) / nodes.length);
      return up.submit({ epoch, kind: 'delta', samples: 100, metrics: {}, values: values.slice() });
    });
    const settled = Promise.allSettled(receipts);
    assert.ok(await world.reach(epoch, EPOCH_MS), `reached ${epochs(world)}`);
    const tookMs = world.clock.nowMs() - sinceMs;
    await world.run(3_000);
    for (const result of await settled) if (result.status === 'rejected') throw result.reason;
    const { chain, replica } = world.node(0).up.ctx;
    const { roster } = chain.at(epoch)?.body ?? assert.fail('no block');
    return { authors: new Set(roster.map((id) => replica.graph.get(id)?.core.author ?? '')), tookMs };
  }

  for (const schedule of ['gossip', 'ring'] as const)
    it(`come into one roster, epoch after epoch (${schedule})`, async () => {
      await pushed({ nodes: 5, seed: 3, rules: { schedule } }, async (world) => {
        for (let turn = 0; turn < 3; turn++) {
          const { authors } = await push(world, world.nodes);
          assert.deepEqual(authors, new Set(world.nodes.map(({ identity }) => identity.fingerprint)));
        }
      });
    });

  it('wait for nobody who pushes nothing', async () => {
    await pushed({ nodes: 5, seed: 3 }, async (world) => {
      const [one] = world.nodes as [SimulatedNode];
      for (let turn = 0; turn < 3; turn++) {
        const { authors, tookMs } = await push(world, [one]);
        assert.deepEqual(authors, new Set([one.identity.fingerprint]));
        assert.ok(tookMs < 3 * PREPARE_MS + 2_000, `${tookMs} ms`);
      }
    });
  });

  it('are awaited as announced, also by nodes for which the epoch has begun anew since', async () => {
    await pushed({ nodes: 5, seed: 3 }, async (world) => {
      const [first, second, third, , last] = world.nodes as [SimulatedNode, SimulatedNode, SimulatedNode, SimulatedNode, SimulatedNode];
      const pushing = push(world, [first, last]);
      await pause(world.clock, SPREAD_MS + PREPARE_MS / 4);
      for (const { up } of [second, third]) {
        assert.equal(up.activeTrainers, 2);
        up.reachChanged();
      }
      const { authors } = await pushing;
      assert.deepEqual(authors, new Set([first, last].map(({ identity }) => identity.fingerprint)));
    });
  });

  /** The next height's first proposer offers at once what no block may hold: a join that one holds already. Its signature is good. */
  function proposeTooEarly(world: World): void {
    const { chain, replica } = world.node(0).up.ctx;
    const { id, state } = chain.finalized;
    const [first] = proposerOrder(id, state.epoch + 1, votersOf(state));
    const hasty = world.nodes.find(({ identity }) => identity.fingerprint === first) ?? assert.fail('no proposer');
    const join = replica.graph.joinOf(hasty.identity.fingerprint) ?? assert.fail('no join');
    hasty.up.committee.voting.begin(id, [join.id]);
  }

  for (const schedule of ['gossip', 'ring'] as const)
    it(`are not left out because a proposal came before there was anything to propose (${schedule})`, async () => {
      await pushed({ nodes: 5, seed: 3, rules: { schedule } }, async (world) => {
        for (let turn = 0; turn < 5; turn++) {
          proposeTooEarly(world);
          await world.run(HASTE_MS);
          const { authors } = await push(world, world.nodes);
          // Who proposed that freezes when it likes, and the last to come may be left out with it; nobody else.
          for (const { index, identity } of world.nodes.slice(0, -1))
            assert.ok(authors.has(identity.fingerprint), `turn ${turn}: node ${index} is not among ${authors.size}`);
        }
      });
    });
});
