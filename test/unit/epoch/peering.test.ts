import assert from 'node:assert/strict';
import { World } from '../../../src/simulation/index.ts';
import { type PeerId, StarlingError } from '../../../src/spec/index.ts';

const RULES = { minDeadlineMs: 100, snapshotEpochs: 3, retainEpochs: 5 } as const;

describe('a node that comes back with its keys alone', function () {
  this.timeout(60_000);

  it('has not heard a peer whose archive did not come: it signs no second join', async () => {
    const refused = new Set<PeerId>();
    let isBack = false;
    const world = new World({
      nodes: 3,
      seed: 9,
      rules: RULES,
      intercept: (node, ports) => {
        if (node.index !== 2 || !isBack) return ports;
        return {
          ...ports,
          streams: {
            ...ports.streams,
            peers: () => ports.streams.peers(),
            notify: (...args) => ports.streams.notify(...args),
            handle: (...args) => ports.streams.handle(...args),
            onPeer: (listener) => ports.streams.onPeer(listener),
            request: async (peer, protocol, ...rest) => {
              // The first question of all: each peer fails it once.
              if (protocol === 'archive' && !refused.has(peer)) {
                refused.add(peer);
                throw new StarlingError('TIMEOUT', 'it takes too long', { peer, phase: 'archive' });
              }
              return await ports.streams.request(peer, protocol, ...rest);
            },
          },
        };
      },
    });
    try {
      await world.boot();
      const finalAt = (i: number): number => world.node(i).engine?.ctx.chain.finalized.state.epoch ?? -1;
      const until = (isSo: () => boolean): Promise<boolean> => world.clock.runUntil(isSo, world.clock.nowMs() + 60_000);
      assert.ok(await until(() => [0, 1, 2].every((i) => finalAt(i) >= 12)));
      const node = world.node(2);
      node.kill();
      node.disk.wipe();
      isBack = true;
      await node.start();
      node.attachTrainer();
      const goal = finalAt(0) + 3;
      assert.ok(await until(() => finalAt(2) >= goal), `stands at ${finalAt(2)} of ${goal}`);
      assert.equal(refused.size, 2, 'each has failed once');
      for (const i of [0, 2]) {
        const { graph } = world.node(i).up.ctx.replica;
        assert.deepEqual(graph.forks(), []);
        assert.equal(graph.at(node.identity.fingerprint, 0).length, 1);
      }
      assert.equal(node.fatal, undefined);
    } finally {
      world.stop();
    }
  });
});
