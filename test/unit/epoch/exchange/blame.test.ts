/** Lies that pass every hash and signature: the commitments show that the sum is wrong, and who made it so. */
import assert from 'node:assert/strict';
import type { OwnRow } from '../../../../src/epoch/exchange/world.ts';
import { type AverageNode, type AverageOptions, AverageSwarm, type ChunkMessage } from '../../../support/averageSwarm.ts';

/** One more in the first integer, which every width here bears. */
const oneMore = (bytes: Uint8Array): Uint8Array => {
  const changed = bytes.slice();
  changed[0] = (changed[0] as number) ^ 1;
  return changed;
};

/** A liar ends its own part: the others name it, and end with the exact sum of theirs. */
async function caught(options: AverageOptions, lie: (liar: AverageNode) => void, why: string): Promise<AverageSwarm> {
  const swarm = new AverageSwarm(options);
  await swarm.clock.runUntil(() => false, 10);
  const liar = swarm.node(1);
  lie(liar);
  swarm.begin();
  assert.ok(await swarm.run(swarm.nodes));
  assert.deepEqual(swarm.thrown, []);
  const found = new Set<string>();
  for (const { averaged, logged } of swarm.nodes.filter((node) => node !== liar)) {
    assert.deepEqual(averaged?.attempt.dropped, [{ id: liar.id, why: 'evidence', by: [], at: null }]);
    assert.deepEqual([...(averaged?.sum ?? [])], swarm.sumOf(averaged?.survivors ?? []));
    for (const { facts } of logged) if (facts?.culprit !== undefined) found.add(`${facts.culprit} ${facts.why}`);
  }
  // Who hears that most have named one looks no further itself.
  assert.deepEqual([...found], [`${liar.node} ${why}`]);
  return swarm;
}

const ofStep = (lane: number, step: number) => (message: ChunkMessage) => message.lane === lane && message.step === step;

describe('a sum that somebody made wrong', function () {
  this.timeout(20_000);

  for (const [schedule, nodes] of [
    ['ring', 5],
    ['grid', 6],
    ['butterfly', 5],
  ] as const) {
    it(`${schedule}: names a member that summed another row than it committed to`, () =>
      caught(
        { nodes, schedule },
        (liar) => {
          const { values } = liar.own as OwnRow;
          liar.lie = Int16Array.from(values, (value, i) => (i === 500 ? value - Math.sign(value || -1) : value));
        },
        'opens another row',
      ).then(() => undefined));

    it(`${schedule}: names a hop that signed a wrong sum of rho`, () =>
      caught({ nodes, schedule, seed: 3 }, (liar) => liar.misstate(ofStep(0, 0), oneMore), 'sent a wrong sum').then(() => undefined));

    for (const [what, change] of [
      ['of another size', (bytes: Uint8Array) => bytes.subarray(1)],
      ['beyond what can be', (bytes: Uint8Array) => bytes.map((_, i) => (i % 2 === 0 ? 0 : 0x80))],
    ] as const)
      it(`${schedule}: names a member that signed a chunk ${what}, as whoever has it shows the others`, () =>
        caught({ nodes, schedule, seed: 4 }, (liar) => liar.misstate(ofStep(1, 0), change), 'sent what nobody honest sends').then(
          () => undefined,
        ));
  }

  it('names a hop that signed a wrong partial sum, of many chunks', () =>
    caught(
      { nodes: 5, schedule: 'ring', elements: 400_000, dtype: 'int8' },
      (liar) => liar.misstate(({ lane, step, chunk }) => lane === 1 && step === 2 && chunk === 0, oneMore),
      'sent a wrong sum',
    ).then(() => undefined));

  it('bears one that gives some of them another sum than the others: they take it from those', async () => {
    const swarm = new AverageSwarm({ nodes: 5, schedule: 'ring' });
    await swarm.clock.runUntil(() => false, 10);
    swarm.node(1).misstate(ofStep(1, 6), oneMore);
    swarm.begin();
    assert.ok(await swarm.run(swarm.nodes));
    const expected = swarm.sumOf(swarm.roster);
    for (const { averaged } of swarm.nodes) assert.deepEqual([...(averaged?.sum ?? [])], expected);
    const named = swarm.nodes.flatMap(({ logged }) => logged.flatMap(({ facts }) => (facts?.culprit === undefined ? [] : [facts.culprit])));
    assert.ok(named.length > 0);
    assert.ok(named.every((culprit) => culprit === swarm.node(1).node));
  });
});
