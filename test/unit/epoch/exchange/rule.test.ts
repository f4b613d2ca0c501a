/** Rules that need every row of a coordinate, over segments: what comes of it is what one node makes of all rows. */
import assert from 'node:assert/strict';
import { digestOf } from '../../../../src/epoch/exchange/check.ts';
import { RuleCheck } from '../../../../src/epoch/exchange/rule/check.ts';
import type { AggregationRule, Attempt, Dropped } from '../../../../src/spec/index.ts';
import { encodeAnswer, type Finding, findingBytes, signMessage } from '../../../../src/wire/index.ts';
import { type AverageOptions, AverageSwarm } from '../../../support/averageSwarm.ts';

const RULES: readonly AggregationRule[] = ['median', 'trimmed-mean', 'krum', 'multi-krum', 'centred-clipping', 'geometric-median'];
/** Chunks of int16, fewer than there are members, the last of them short: two, and four. */
const ELEMENTS = 131_072 + 1_001;
const FOUR_CHUNKS = 3 * 131_072 + 1_001;

async function begun(options: Partial<AverageOptions> = {}): Promise<AverageSwarm> {
  const swarm = new AverageSwarm({ nodes: 5, elements: ELEMENTS, rule: 'median', ...options });
  await swarm.clock.runUntil(() => false, 10);
  return swarm;
}

async function checkRuled(swarm: AverageSwarm, left = swarm.nodes): Promise<void> {
  assert.deepEqual(swarm.thrown, []);
  const { survivors } = left[0]?.averaged ?? assert.fail('nothing was made');
  const expected = await swarm.ruledOf(survivors);
  for (const { averaged } of left) {
    assert.ok(averaged);
    assert.deepEqual(averaged.attempt, left[0]?.averaged?.attempt);
    assert.ok(Buffer.from(averaged.sum.buffer).equals(Buffer.from(expected.sum.buffer)));
    assert.deepEqual(averaged.ruled, { weightTotal: expected.weightTotal, distances: expected.distances });
  }
}

describe('a rule over segments', function () {
  this.timeout(60_000);

  for (const rule of RULES)
    it(`makes by ${rule} what one node makes of all rows`, async () => {
      const swarm = await begun({ rule, elements: rule === 'krum' ? FOUR_CHUNKS : ELEMENTS });
      swarm.begin();
      assert.ok(await swarm.run(swarm.nodes));
      await checkRuled(swarm);
      assert.deepEqual(swarm.node(0).averaged?.survivors, swarm.roster);
    });

  it('goes on without one that was killed, froze or fell silent, whenever that was, and takes its row where all had it', async () => {
    const failures = {
      kill: (swarm: AverageSwarm) => swarm.node(1).kill(),
      freeze: (swarm: AverageSwarm) => {
        swarm.node(1).stopped = true;
      },
      silence: (swarm: AverageSwarm) => {
        swarm.node(1).mute = true;
      },
    };
    const made = new Set<number>();
    for (const [name, fail] of Object.entries(failures))
      for (const afterMs of [0, 20, 30, 45]) {
        const swarm = await begun({ seed: afterMs + 1, minDeadlineMs: 1_000, maxDeadlineMs: 1_000 });
        swarm.begin();
        await swarm.clock.runUntil(() => false, swarm.clock.nowMs() + afterMs);
        fail(swarm);
        const left = swarm.nodes.filter(({ index }) => index !== 1);
        assert.ok(await swarm.run(left), `${name} after ${afterMs} ms`);
        await checkRuled(swarm, left);
        const { survivors, attempt } = left[0]?.averaged ?? assert.fail();
        made.add(survivors.length);
        if (survivors.length === 4)
          assert.deepEqual(
            attempt.dropped.map(({ id }) => id),
            [swarm.node(1).id],
          );
      }
    assert.deepEqual([...made].sort(), [4, 5], 'both were met');
  });

  it('names who says what its segment does not come to, and goes on without it', async () => {
    const swarm = await begun();
    swarm.node(2).misrules = true;
    swarm.begin();
    const left = swarm.nodes.filter(({ index }) => index !== 2);
    assert.ok(await swarm.run(left));
    await checkRuled(swarm, left);
    const { attempt } = left[0]?.averaged ?? assert.fail();
    assert.deepEqual(
      attempt.dropped.map(({ id, why }) => [id, why]),
      [[swarm.node(2).id, 'evidence']],
    );
    for (const { logged } of left)
      assert.ok(logged.some(({ message, facts }) => message === 'a member was found to lie' && facts?.culprit === swarm.node(2).node));
  });

  it('is not what two liars of seven make of a segment that both own', async () => {
    const swarm = await begun({ nodes: 7 });
    for (const i of [2, 3]) swarm.node(i).misrules = true;
    swarm.begin();
    const left = swarm.nodes.filter(({ index }) => index !== 2 && index !== 3);
    assert.ok(await swarm.run(left));
    await checkRuled(swarm, left);
  });

  it('leaves out whose row is not the one that its entry names', async () => {
    const swarm = await begun({ minDeadlineMs: 1_000, maxDeadlineMs: 1_000 });
    const { own } = swarm.node(3);
    const first = swarm.node(3);
    first.lie = own?.values.map((value, i) => (i === 5 ? value + 1 : value));
    swarm.begin();
    const left = swarm.nodes.filter((node) => node !== first);
    assert.ok(await swarm.run(left));
    await checkRuled(swarm, left);
    const { attempt } = left[0]?.averaged ?? assert.fail();
    assert.deepEqual(
      attempt.dropped.map(({ id }) => id),
      [first.id],
    );
  });

  it('goes around a link that is cut', async () => {
    const swarm = await begun({ minDeadlineMs: 1_000, maxDeadlineMs: 1_000 });
    for (const pair of ['1 3', '3 1']) swarm.cut.add(pair);
    swarm.begin();
    assert.ok(await swarm.run(swarm.nodes));
    await checkRuled(swarm);
    assert.deepEqual(swarm.node(0).averaged?.survivors, swarm.roster);
  });

  it('goes around links that are cut at whoever is next to each other in rank, and at those across', async () => {
    for (const cuts of [
      ['0 1', '2 3'],
      ['0 2', '1 3'],
      ['0 3', '1 2'],
    ])
      for (const seed of [1, 2]) {
        const swarm = await begun({ nodes: 4, elements: FOUR_CHUNKS, seed, minDeadlineMs: 1_000, maxDeadlineMs: 1_000 });
        for (const cut of cuts) for (const pair of [cut, cut.split(' ').reverse().join(' ')]) swarm.cut.add(pair);
        swarm.begin();
        assert.ok(await swarm.run(swarm.nodes, 60_000), `${cuts}`);
        await checkRuled(swarm);
        assert.deepEqual(swarm.node(0).averaged?.survivors, swarm.roster);
      }
  });

  it('leaves out who gives its row to nobody, whomever it names as a liar', async () => {
    const swarm = await begun({ minDeadlineMs: 1_000, maxDeadlineMs: 1_000 });
    const liar = swarm.node(1);
    liar.answer = (message, answer) => (message.kind === 'open' && message.what === 'row' ? encodeAnswer('later') : answer);
    liar.tamper = (message) => {
      if (message.kind !== 'words') return message;
      const named = swarm.node(3).node;
      const findings = message.words.findings.map((finding) =>
        finding.node === liar.node ? signMessage(findingBytes, { ...finding, culprits: [named] }, liar.identity) : finding,
      );
      return { ...message, words: { ...message.words, findings } };
    };
    swarm.begin();
    const left = swarm.nodes.filter((node) => node !== liar);
    assert.ok(await swarm.run(left, 60_000));
    await checkRuled(swarm, left);
    const { attempt } = left[0]?.averaged ?? assert.fail();
    assert.deepEqual(
      attempt.dropped.map(({ id }) => id),
      [liar.id],
    );
  });

  it('waits once for who says nothing, however many steps a rule takes', async () => {
    const swarm = await begun({ rule: 'geometric-median', minDeadlineMs: 1_000, maxDeadlineMs: 1_000 });
    swarm.node(2).answer = (message, answer) => (message.kind === 'open' && message.what === 'stated' ? encodeAnswer('later') : answer);
    swarm.begin();
    const left = swarm.nodes.filter(({ index }) => index !== 2);
    const sinceMs = swarm.clock.nowMs();
    assert.ok(await swarm.run(left));
    await checkRuled(swarm, left);
    // Three deadlines of the least that a chunk is waited for (exchanges.ts), and what a deadline takes to be noticed.
    assert.ok(swarm.clock.nowMs() - sinceMs < 4 * 3_000, `${swarm.clock.nowMs() - sinceMs} ms`);
  });

  it('takes no chunk of what was made that is not what all owners have said', async () => {
    const swarm = await begun();
    let spoilt = 0;
    swarm.node(2).answer = (message, answer) => {
      if (message.kind !== 'open' || message.what !== 'made' || answer === undefined || answer.length < 2) return answer;
      spoilt++;
      return answer.with(1, answer[1] === 1 ? 2 : 1);
    };
    swarm.begin();
    assert.ok(await swarm.run(swarm.nodes));
    await checkRuled(swarm);
    assert.ok(spoilt > 0);
    assert.deepEqual(swarm.node(0).averaged?.survivors, swarm.roster);
  });

  it('is believed by who took no part when more members than may lie have signed that they hold it, and no others', async () => {
    const swarm = new AverageSwarm({ nodes: 8, members: 7, elements: 10, rule: 'median' });
    const members = swarm.nodes.slice(0, 7).map(({ node }) => node);
    const [stranger] = swarm.nodes.slice(7).map(({ node }) => node) as [string];
    const sums = { rhoSum: new Int32Array(), sum: new Int32Array(10), ruled: { weightTotal: 1, distances: members.map(() => 0n) } };
    const done = await digestOf(swarm.clock, sums);
    const attempt: Attempt = { swarm: 'a', epoch: 5, base: 'b', number: 0, roster: swarm.roster, dropped: [], broken: [] };
    const rows = new Map(members.map((node, i) => [node, swarm.node(i).id]));
    const believes = async (said: readonly (readonly [string, string])[], attempted = attempt, held = sums): Promise<boolean> => {
      const findings = said.map(([node, digest]) => ({ node, done: digest }) as Finding);
      const streams = { request: () => assert.fail('nobody is asked') };
      const world = { genesis: swarm.genesis, elements: 10, clock: swarm.clock, peerOf: () => undefined, streams };
      const authorOf = (id: string) => swarm.contributions.get(id)?.author;
      const weights = swarm.roster.map(() => 1);
      const input = { attempt: attempted, id: 'c', rows, weights, authorOf, witness: { findingsOf: () => findings } };
      return await new RuleCheck(world, input).holds(held, false);
    };
    const [a, b, c] = members as [string, string, string];
    assert.equal(
      await believes([
        [a, done],
        [b, done],
        [c, done],
      ]),
      true,
    );
    assert.equal(
      await believes([
        [a, done],
        [b, done],
        [stranger, done],
      ]),
      false,
    );
    assert.equal(
      await believes([
        [a, done],
        [b, done],
        [c, 'another'],
      ]),
      false,
    );
    assert.equal(
      await believes([
        [a, done],
        [b, done],
      ]),
      false,
    );
    const short = { ...sums, ruled: { weightTotal: 1, distances: [] } };
    const said = await digestOf(swarm.clock, short);
    assert.equal(
      await believes(
        [
          [a, said],
          [b, said],
          [c, said],
        ],
        attempt,
        short,
      ),
      false,
      'a distance is missing',
    );
    // Those that were dropped may have been honest: two liars of seven are two liars still.
    rows.delete(members[5] as string);
    rows.delete(members[6] as string);
    const two = [5, 6].map((i): Dropped => ({ id: swarm.node(i).id, why: 'unreachable', by: [], at: null }));
    const five = { ...sums, ruled: { weightTotal: 1, distances: members.slice(2).map(() => 0n) } };
    const held = await digestOf(swarm.clock, five);
    assert.equal(
      await believes(
        [
          [a, held],
          [b, held],
        ],
        { ...attempt, dropped: two },
        five,
      ),
      false,
    );
    assert.equal(
      await believes(
        [
          [a, held],
          [b, held],
          [c, held],
        ],
        { ...attempt, dropped: two },
        five,
      ),
      true,
    );
  });

  it('is taken from those who made it by who has no row', async () => {
    const swarm = await begun({ nodes: 6, members: 4 });
    swarm.begin();
    assert.ok(await swarm.run(swarm.nodes));
    await checkRuled(swarm);
  });

  it('begins again where its process does, and needs no other attempt for that', async () => {
    for (const afterMs of [15, 30]) {
      const swarm = await begun({ seed: afterMs });
      swarm.begin();
      await swarm.clock.runUntil(() => false, swarm.clock.nowMs() + afterMs);
      const back = swarm.node(1);
      back.kill();
      await swarm.clock.runUntil(() => false, swarm.clock.nowMs() + 100);
      back.ended = false;
      back.restart();
      assert.ok(await swarm.run(swarm.nodes));
      await checkRuled(swarm);
      assert.equal(swarm.node(0).averaged?.attempt.number, 0);
    }
  });

  it('is made by two, and by a model that is smaller than a chunk', async () => {
    for (const [nodes, elements] of [
      [2, ELEMENTS],
      [5, 3],
      [4, 1],
    ] as const) {
      const swarm = await begun({ nodes, elements });
      swarm.begin();
      assert.ok(await swarm.run(swarm.nodes));
      await checkRuled(swarm);
    }
  });
});
