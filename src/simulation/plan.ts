/** From what a scenario asks for to what happens when: a function of the scenario and a seed. */
import { Random } from '../learning/random.ts';
import type { Skew } from './clock.ts';
import { type FaultEvent, LIAR_KINDS, type LiarKind, type Scenario } from './scenario.ts';

/** Faulty voters that a committee of `n` bears (PROTOCOL section 2). */
const bearable = (n: number): number => Math.floor((n - 1) / 3);
/** Nodes that are there from the start, the founder among them: the smallest committee that bears a liar. */
const LEAST = 4;
/** A crash in the middle of a write comes within so many writes. */
const WRITES = 8;

/**
 * The same scenario with every drawn fault written out. A plan of a plan is itself. `nodes` may have been changed on the
 * command line: faults are drawn for those that are there.
 */
export function planOf(scenario: Scenario, seed: number): Scenario {
  const { faults, nodes } = scenario;
  const random = Random.from(seed, 'faults', scenario.name);
  const between = ([least, most]: readonly [number, number]): number => Math.round(least + random.uniform() * (most - least));
  const when = (): number => Math.round(random.uniform() * faults.within_ms);
  const events: FaultEvent[] = [...scenario.events];

  const byzantine = [...scenario.byzantine];
  const order = [...random.permutation(nodes)];
  const joins = Math.max(0, Math.min(faults.joins, nodes - LEAST));
  // Those who come late are no voters yet, and one that lost its disk does not vote until the next epoch is final.
  const bear = Math.max(0, bearable(nodes - joins) - faults.wipes);
  const liars = Math.min(faults.byzantine === 'f' ? bear : faults.byzantine, nodes);
  const first = random.below(faults.kinds.length);
  for (let i = 0; i < liars; i++) {
    const kind = faults.kinds[(first + i) % faults.kinds.length] as LiarKind;
    byzantine.push({ node: order[i] as number, kind });
  }
  const honest = order.filter((node) => !byzantine.some((liar) => liar.node === node));

  const late = honest.filter((node) => node !== 0).slice(0, joins);
  for (const node of late) events.push({ kind: 'join', at_ms: when(), node });
  const present = honest.filter((node) => !late.includes(node));

  for (let i = 0; i < faults.partitions && nodes > 1; i++) {
    const split = [...random.permutation(nodes)];
    const at = 1 + random.below(nodes - 1);
    const groups = [split.slice(0, at).sort((a, b) => a - b), split.slice(at).sort((a, b) => a - b)];
    events.push({ kind: 'partition', at_ms: when(), for_ms: between(faults.partition_ms), groups });
  }
  const one = (): number => present[random.below(present.length)] as number;
  for (let i = 0; i < faults.crashes && present.length > 0; i++)
    events.push({
      kind: 'crash',
      at_ms: when(),
      for_ms: between(faults.down_ms),
      node: one(),
      in_write: i % 2 === 0 ? 0 : 1 + random.below(WRITES),
    });
  for (let i = 0; i < faults.wipes && present.length > 0; i++)
    events.push({ kind: 'wipe', at_ms: when(), for_ms: between(faults.down_ms), node: one() });

  events.sort((a, b) => a.at_ms - b.at_ms);
  const nothing = { partitions: 0, crashes: 0, wipes: 0, joins: 0, byzantine: 0 };
  return { ...scenario, seed, events, byzantine, faults: { ...faults, ...nothing, kinds: [...LIAR_KINDS] } };
}

/** Ms after the swarm has formed at which the last fault is over. */
export const lastFaultMs = (plan: Scenario): number => Math.max(0, ...plan.events.map((e) => e.at_ms + ('for_ms' in e ? e.for_ms : 0)));

/** The error of node `index`'s clock. */
export function skewOf({ clocks, seed }: Scenario, index: number): Skew {
  const random = Random.from(seed, 'clock', index);
  const signed = (): number => 2 * random.uniform() - 1;
  return { rate: 1 + clocks.drift * signed(), wallOffsetMs: Math.round(clocks.wall_ms * signed()) };
}
