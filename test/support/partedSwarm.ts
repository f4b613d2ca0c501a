/** A whole swarm over a bad network, parted so that no side has a quorum, and healed: what must come of it. */
import assert from 'node:assert/strict';
import { World } from '../../src/simulation/index.ts';
import { Invariants } from '../../src/simulation/invariants.ts';
import type { Schedule } from '../../src/spec/index.ts';

export interface Parting {
  readonly nodes: number;
  /** How many are on the smaller side. */
  readonly few: number;
  readonly seed: number;
  readonly schedule?: Schedule;
}

/** Epochs that each side goes on by itself. */
const APART = 5;
/** Ms of virtual time after the heal until everyone has the next block: a second to reconnect, one epoch that is given up, one more. */
const HEALED_MS = 20_000;

/**
 * A fifth of all messages lost, each side alone for five provisional epochs, healed: one root, nothing that was final taken back,
 * nothing acknowledged lost.
 */
export async function partAndHeal({ nodes, few, seed, schedule = 'auto' }: Parting): Promise<void> {
  const link = { loss: 0.2, minDelayMs: 20, maxDelayMs: 120, duplication: 0.05 };
  const world = new World({ nodes, seed, link, parameters: 16, trainMs: [50, 200], rules: { schedule } });
  const { clock, network } = world;
  const invariants = new Invariants(world.nodes, () => clock.nowMs());
  const until = async (done: () => boolean, withinMs: number, what: string): Promise<void> => {
    const reached = await clock.runUntil(() => {
      invariants.observe();
      return done();
    }, clock.nowMs() + withinMs);
    assert.ok(reached, `${what}: ${heads()}, final ${finals()}`);
  };
  const heads = () => world.running.map((n) => n.up.ctx.chain.head.state.epoch);
  const finals = () => world.running.map((n) => n.up.ctx.chain.finalized.state.epoch);
  const rootsAt = (epoch: number) => new Set(world.nodes.map((n) => n.up.ctx.chain.at(epoch)?.stateRoot));
  try {
    await world.boot(300_000);
    const first = Math.max(...finals());
    await until(() => Math.min(...finals()) > first, 60_000, 'blocks');

    const sides = [world.nodes.slice(0, few), world.nodes.slice(few)];
    network.partition(...sides.map((side) => side.map((n) => n.identity.peerId)));
    const before = Math.max(...heads());
    await until(() => Math.min(...heads()) >= before + APART, 300_000, 'each side goes on');
    const final = Math.max(...finals());
    assert.ok(final <= before + 1, `no side has a quorum, and yet block ${final} is final; ${before} was`);
    const decided = sides.map((side) => [...new Set(side.map((n) => n.up.ctx.chain.at(before + 3)?.id))]);
    assert.deepEqual(
      decided.map((ids) => ids.length),
      [1, 1],
      'each side agrees within itself',
    );
    assert.notEqual(decided[0]?.[0], decided[1]?.[0], 'the two sides went apart');

    network.heal();
    await until(() => Math.min(...finals()) > final, HEALED_MS, 'healed');
    assert.equal(rootsAt(final + 1).size, 1);
    const next = Math.min(...finals()) + 1;
    await until(() => Math.min(...finals()) >= next, 60_000, 'and on');
    assert.equal(rootsAt(next).size, 1, 'one root');
    for (const { up } of world.nodes) assert.equal(up.ctx.chain.isProvisional, false);
    // Half of those that train are in it, at the least: loss may keep some out of one epoch.
    assert.ok((world.node(0).up.ctx.chain.at(next)?.body?.roster.length ?? 0) > nodes / 2);

    world.training = false;
    await until(() => invariants.lost().size === 0, 60_000, 'nothing acknowledged is lost');
    assert.deepEqual(invariants.violations, []);
  } finally {
    world.stop();
  }
}
