/** By what a swarm averages: a pure function of its genesis and of the state that an epoch builds on. */
import type { Genesis, SwarmState } from '../../spec/index.ts';
import { mayContributeNow } from '../../state/index.ts';
import { parameterCount } from '../../wire/index.ts';
import { type Choice, chooseSchedule, type Situation } from './choose.ts';

const situationOf = (genesis: Genesis, members: number, brokenLinks = 0): Situation => ({
  parameters: parameterCount(genesis.tensors),
  dtype: genesis.updateDtype,
  members,
  rule: genesis.aggregation === 'mean' ? 'sum' : 'rows',
  rowsMayBeSeen: true,
  brokenLinks,
  wanted: genesis.schedule,
});

/**
 * What an epoch over `base` would average by if all its members contributed. Rules over rows, and encodings that leave values out, are
 * summed by everyone, whatever the schedule: PROTOCOL section 6 has no other way for rules, and zeros need not travel.
 */
export function modeOf(genesis: Genesis, base: SwarmState): Choice {
  const members = base.members.filter((m) => mayContributeNow(base, m.fingerprint, m.nodeClass, genesis)).length;
  const situation = situationOf(genesis, members);
  if (genesis.aggregation === 'mean' && genesis.encoding === 'dense') return chooseSchedule(situation);
  const what = genesis.aggregation === 'mean' ? `of a ${genesis.encoding} encoding` : `under the rule ${genesis.aggregation}`;
  return { ...chooseSchedule({ ...situation, wanted: 'gossip' }), why: `every node needs every update ${what}` };
}

/** Whether members of an epoch over `base` exchange sums over streams (`modeOf` says by what), and nobody sees all updates. */
export const isScheduled = (genesis: Genesis, base: SwarmState): boolean => modeOf(genesis, base).schedule !== 'gossip';

/**
 * By what so many members of one attempt average in a scheduled epoch: never by gossip, but for one alone. `isNear`: whether they told of links
 * that differ (`claimedCosts`), which chooses their neighbours and no schedule.
 */
export function scheduleOf(genesis: Genesis, members: number, brokenLinks: number, isNear: boolean): Choice {
  const situation = situationOf(genesis, members, brokenLinks);
  const first = chooseSchedule(situation);
  // Those left may be few enough for gossip, and the epoch began without it.
  const choice = first.schedule === 'gossip' ? chooseSchedule({ ...situation, wanted: brokenLinks === 0 ? 'butterfly' : 'ring' }) : first;
  if (!isNear || choice.schedule === 'butterfly') return choice;
  return { ...choice, why: `${choice.why}; neighbours by the links that members measured` };
}
