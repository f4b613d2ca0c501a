/** Rules over segments among members that fail and lie at random: what comes of it is what the rule makes of all rows that are left. */
import assert from 'node:assert/strict';
import { ownersNeeded, rowChunkElements } from '../../../src/aggregation/index.ts';
import { AGGREGATION_RULES } from '../../../src/spec/index.ts';
import { encodeAnswer, type OpeningKind } from '../../../src/wire/index.ts';
import { type AverageNode, AverageSwarm } from '../../support/averageSwarm.ts';
import { picker } from '../../support/exchanges.ts';

/** Swarms, one a seed. */
const SEEDS = Number(process.env.RULE_SEEDS ?? 20);
const FIRST = Number(process.env.RULE_FIRST_SEED ?? 1);
const RULES = AGGREGATION_RULES.filter((rule) => rule !== 'mean');
/** Ms of virtual time in which something breaks, and for an attempt or a few to end. */
const BREAK_MS = 60;
const END_MS = 180_000;

const withholds = (what: OpeningKind) => (node: AverageNode) => {
  node.answer = (message, answer) => (message.kind === 'open' && message.what === what ? encodeAnswer('later') : answer);
};
const FAULTS: Readonly<Record<string, (node: AverageNode) => void>> = {
  kill: (node) => node.kill(),
  freeze: (node) => {
    node.stopped = true;
  },
  'fall silent': (node) => {
    node.mute = true;
  },
  misrule: (node) => {
    node.misrules = true;
  },
  'give its row to nobody': withholds('row'),
  'say nothing': withholds('stated'),
  'give nothing that was made': withholds('made'),
};

/** As many members fail, and links are cut, as members may lie: a member whose link is cut may be out of reach of a quorum with them. */
async function check(seed: number): Promise<void> {
  const pick = picker(seed);
  const one = <T>(items: readonly T[]): T => items[pick(items.length)] as T;
  const nodes = 4 + pick(5);
  const rule = one(RULES);
  const elements = pick(3) * rowChunkElements('int16') + 1 + pick(5_000);
  const loss = pick(3) === 0 ? 0.02 : 0;
  const swarm = new AverageSwarm({ nodes, elements, rule, seed, loss, minDeadlineMs: 1_000, maxDeadlineMs: 1_000 });
  await swarm.clock.runUntil(() => false, 10);
  swarm.begin();
  const said = [`${rule}, ${nodes} members, ${elements} parameters, loss ${loss}`];
  const failing = new Set(Array.from({ length: pick(ownersNeeded(nodes, nodes)) }, () => pick(nodes)));
  const cuts = pick(ownersNeeded(nodes, nodes) - failing.size);
  for (let cut = 0; cut < cuts; cut++) {
    const [a, b] = [pick(nodes), pick(nodes)];
    for (const pair of [`${a} ${b}`, `${b} ${a}`]) swarm.cut.add(pair);
    said.push(`link ${a} ${b} is cut`);
  }
  for (const index of failing) {
    const name = one(Object.keys(FAULTS));
    await swarm.clock.runUntil(() => false, swarm.clock.nowMs() + pick(BREAK_MS) / failing.size);
    FAULTS[name]?.(swarm.node(index));
    said.push(`${index} begins to ${name}`);
  }
  const left = swarm.nodes.filter(({ index }) => !failing.has(index));
  const story = said.join('; ');
  assert.ok(await swarm.run(left, END_MS), `does not end: ${story}`);
  assert.deepEqual(swarm.thrown, []);
  const { attempt, survivors } = left[0]?.averaged ?? assert.fail(story);
  const expected = await swarm.ruledOf(survivors);
  for (const { averaged } of left) {
    assert.deepEqual(averaged?.attempt, attempt, story);
    assert.ok(Buffer.from(averaged?.sum.buffer ?? []).equals(Buffer.from(expected.sum.buffer)), story);
    assert.deepEqual(averaged?.ruled, { weightTotal: expected.weightTotal, distances: expected.distances }, story);
  }
  for (const { id } of left) assert.ok(cuts > 0 || survivors.includes(id), `an honest member was left out: ${story}`);
}

describe('a rule over segments among members that fail', function () {
  this.timeout(120_000);
  for (let seed = FIRST; seed < FIRST + SEEDS; seed++) it(`makes what it makes of all rows that are left, seed ${seed}`, () => check(seed));
});
