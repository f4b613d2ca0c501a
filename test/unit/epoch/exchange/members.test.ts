/** Members that come late, come back, crawl, or are only two. */
import assert from 'node:assert/strict';
import { type AverageOptions, AverageSwarm } from '../../../support/averageSwarm.ts';

async function begun(options: AverageOptions): Promise<AverageSwarm> {
  const swarm = new AverageSwarm(options);
  await swarm.clock.runUntil(() => false, 10);
  return swarm;
}

function checkSum(swarm: AverageSwarm, left = swarm.nodes): void {
  assert.deepEqual(swarm.thrown, []);
  const [first] = left;
  for (const { averaged } of left) {
    assert.ok(averaged);
    assert.deepEqual([...averaged.sum], swarm.sumOf(averaged.survivors));
    assert.deepEqual(averaged.attempt, first?.averaged?.attempt);
  }
}

describe('members of a sum over streams', function () {
  this.timeout(20_000);

  it('waits for one whose roster settles later: what comes early is held back or sent again', async () => {
    const swarm = await begun({ nodes: 5 });
    for (const { index } of swarm.nodes) if (index !== 3) swarm.node(index).begin();
    await swarm.clock.runUntil(() => false, swarm.clock.nowMs() + 700);
    swarm.node(3).begin();
    assert.ok(await swarm.run(swarm.nodes));
    checkSum(swarm);
    assert.deepEqual(swarm.node(0).averaged?.survivors, swarm.roster);
  });

  it('takes one in again that was killed and came back in the middle', async () => {
    for (const afterMs of [20, 45, 70]) {
      const swarm = await begun({ nodes: 5, seed: afterMs });
      swarm.begin();
      await swarm.clock.runUntil(() => false, swarm.clock.nowMs() + afterMs);
      const back = swarm.node(1);
      back.kill();
      await swarm.clock.runUntil(() => false, swarm.clock.nowMs() + 200);
      back.ended = false;
      back.restart();
      const sinceMs = swarm.clock.nowMs();
      assert.ok(await swarm.run(swarm.nodes), `killed after ${afterMs} ms`);
      checkSum(swarm);
      // It says so itself: no deadline has to pass first.
      const tookMs = swarm.clock.nowMs() - sinceMs;
      assert.ok(tookMs < 700, `killed after ${afterMs} ms, it took ${tookMs} ms`);
    }
  });

  it('never signs one number twice, whatever process signs', async () => {
    const swarm = await begun({ nodes: 5 });
    const signed = new Map<string, Set<string>>();
    for (const node of swarm.nodes)
      node.tamper = (message) => {
        if (message.kind !== 'words') return message;
        for (const vote of message.words.votes) {
          const body = message.words.attempts.length === 1 ? message.words.attempts[0] : undefined;
          if (body === undefined) continue;
          const key = `${vote.voter} ${body.number}`;
          signed.set(key, (signed.get(key) ?? new Set()).add(vote.attempt));
        }
        return message;
      };
    swarm.begin();
    await swarm.clock.runUntil(() => false, swarm.clock.nowMs() + 30);
    swarm.node(1).kill();
    await swarm.clock.runUntil(() => false, swarm.clock.nowMs() + 100);
    swarm.node(1).restart(swarm.roster.slice(1));
    assert.ok(await swarm.run(swarm.nodes));
    assert.ok(signed.size >= 5);
    for (const ids of signed.values()) assert.equal(ids.size, 1);
  });

  it('drops one whose link carries 1 Mbit/s where chunks are expected faster', async () => {
    for (const schedule of ['ring', 'butterfly'] as const) {
      const swarm = await begun({ nodes: 5, schedule, elements: 300_000, minDeadlineMs: 1_000, maxDeadlineMs: 1_000 });
      const slow = swarm.node(2);
      slow.bitsPerMs = 1_000;
      for (const node of swarm.nodes) if (node !== slow) node.bitsPerMs = 100_000;
      swarm.begin();
      const left = swarm.nodes.filter((node) => node !== slow);
      assert.ok(await swarm.run(left), schedule);
      checkSum(swarm, left);
      const { attempt } = left[0]?.averaged ?? {};
      assert.deepEqual(
        attempt?.dropped.map(({ id }) => id),
        [slow.id],
      );
      assert.equal(attempt?.number, 1);
    }
  });

  it('waits for one that is slow where the deadline allows for it', async () => {
    const swarm = await begun({ nodes: 3, elements: 30_000, minDeadlineMs: 4_000, maxDeadlineMs: 8_000 });
    swarm.node(2).bitsPerMs = 1_000;
    swarm.begin();
    assert.ok(await swarm.run(swarm.nodes));
    checkSum(swarm);
    assert.deepEqual(swarm.node(0).averaged?.survivors, swarm.roster);
  });

  it('drops no more than those that failed, and takes none of them back, when two fail one after the other', async () => {
    const swarm = await begun({ nodes: 7, minDeadlineMs: 1_000, maxDeadlineMs: 1_000 });
    const [first, second] = [swarm.node(1), swarm.node(4)];
    swarm.begin();
    await swarm.clock.runUntil(() => false, swarm.clock.nowMs() + 15);
    first.stopped = true;
    await swarm.clock.runUntil(() => (swarm.node(0).exchanges.attempt?.number ?? 0) === 1, 60_000);
    second.stopped = true;
    const left = swarm.nodes.filter((node) => node !== first && node !== second);
    assert.ok(await swarm.run(left));
    checkSum(swarm, left);
    const dropped = left[0]?.averaged?.attempt.dropped.map(({ id }) => id);
    assert.deepEqual(dropped, [first.id, second.id].sort());
  });

  it('resolves with nothing where a newer epoch ends it', async () => {
    const swarm = await begun({ nodes: 3 });
    swarm.node(0).begin();
    await swarm.clock.runUntil(() => false, swarm.clock.nowMs() + 100);
    swarm.node(0).exchanges.stop();
    assert.ok(await swarm.run([swarm.node(0)]));
    assert.equal(swarm.node(0).averaged, undefined);
  });

  it('gives a voter that settled another roster the one that most signed', async () => {
    const swarm = await begun({ nodes: 5 });
    const odd = swarm.node(4);
    for (const node of swarm.nodes) if (node !== odd) node.begin();
    odd.begin(swarm.roster.slice(1));
    assert.ok(await swarm.run(swarm.nodes));
    checkSum(swarm);
    assert.deepEqual(odd.averaged?.attempt.roster, swarm.roster);
  });

  it('settles on one roster where voters are split', async () => {
    const swarm = await begun({ nodes: 5 });
    for (const node of swarm.nodes)
      node.begin(node.index < 2 ? swarm.roster.slice(1) : node.index === 2 ? swarm.roster.slice(2) : swarm.roster);
    assert.ok(await swarm.run(swarm.nodes));
    checkSum(swarm);
  });
});
