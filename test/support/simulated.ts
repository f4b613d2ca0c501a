/** What tests of simulated swarms look at. */
import { World, type WorldOptions } from '../../src/simulation/index.ts';

/** Epoch of the head of every node that is up. */
export const epochs = (world: World): number[] => world.running.map((node) => node.up.ctx.chain.head.state.epoch);

/** State roots at an epoch of all that are up: one where they agree, undefined among them where one is not there yet. */
export const rootsAt = (world: World, epoch: number): Set<string | undefined> =>
  new Set(world.running.map((node) => node.up.ctx.chain.at(epoch)?.stateRoot));

/** A swarm that has booted, stopped whatever comes of it. */
export async function withWorld(options: WorldOptions, body: (world: World) => Promise<void>): Promise<void> {
  const world = new World(options);
  try {
    await world.boot();
    await body(world);
  } finally {
    world.stop();
  }
}
