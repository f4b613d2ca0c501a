import assert from 'node:assert/strict';
import { Collector } from '../../../src/epoch/collector.ts';
import { TestSwarm } from '../../support/epochWorld.ts';

describe('collecting contributions', () => {
  /** Node 1 knows of node 0's contribution and of nothing else of it. */
  async function unheard() {
    const swarm = new TestSwarm({ nodes: 3 }).joined();
    const [author, reader] = [swarm.node(0), swarm.node(1)];
    const { contributionId } = await author.submit(Float32Array.from({ length: 8 }, (_, k) => k / 4));
    swarm.share();
    const held: string[] = [];
    const collector = new Collector(reader.ctx, { seen: () => undefined, held: (entry) => void held.push(entry.id), holders: () => [] });
    const entry = reader.ctx.replica.graph.contributionsOf(1)[0] ?? assert.fail('no entry');
    assert.equal(collector.accepted(entry), true);
    /** What is asked for when this much time has passed, and all that follows from it has come to rest. */
    const wait = async (ms: number): Promise<number> => {
      await swarm.clock.runUntil(() => false, swarm.clock.nowMs() + ms);
      const before = reader.asked.length;
      collector.fetchMissing();
      await swarm.clock.runUntil(() => false, swarm.clock.nowMs());
      return reader.asked.length - before;
    };
    return { author, reader, collector, held, contributionId, wait };
  }

  it('asks its author for what has not come after a while, and holds it', async () => {
    const { held, contributionId, wait } = await unheard();
    assert.equal(await wait(200), 0);
    // The key, the leaves from it and from another that may have come further, and one chunk.
    assert.equal(await wait(100), 4);
    assert.deepEqual(held, [contributionId]);
    assert.equal(await wait(10_000), 0);
  });

  it('asks less and less often where nobody gives it, and never stops', async () => {
    const { author, held, contributionId, wait } = await unheard();
    const { handlers } = author;
    const keys = handlers.get('keys') ?? assert.fail('no handler');
    handlers.delete('keys');
    const pauses: number[] = [];
    for (let sinceMs = 0, n = 0; n < 100; n++, sinceMs += 100) {
      if ((await wait(100)) === 0) continue;
      pauses.push(sinceMs + 100);
      sinceMs = -100;
    }
    assert.deepEqual(pauses.slice(0, 6), [300, 600, 1_200, 2_400, 2_400, 2_400]);
    handlers.set('keys', keys);
    assert.ok((await wait(2_400)) > 0);
    assert.deepEqual(held, [contributionId]);
  });

  it('gives up what it pulls when another epoch has begun, not when this one begins again', async () => {
    const { author, reader, collector, wait, contributionId } = await unheard();
    author.handlers.set('content', () => new Promise(() => undefined));
    assert.equal(await wait(300), 3);
    const root = author.ctx.updates.key(contributionId)?.cipherRoot ?? assert.fail('no key');
    const pulling = reader.ctx.pulls.pull(
      { request: () => assert.fail('asked twice') },
      [],
      root,
      author.ctx.updates.sealed(root)?.length ?? 0,
      {
        timeoutMs: 1,
      },
    );
    let ended: unknown;
    pulling.catch((error: unknown) => {
      ended = error;
    });
    collector.end();
    await new Promise(setImmediate);
    assert.equal(ended, undefined);
    await reader.decide([]);
    await reader.apply();
    collector.end();
    await new Promise(setImmediate);
    assert.equal((ended as { code?: string } | undefined)?.code, 'EPOCH_REGRESSION');
  });
});
