/** By what a swarm averages: a pure function of its genesis and of the state that an epoch builds on. */
import type { AggregationRule, Genesis, SwarmState } from '../../spec/index.ts';
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

/** Members up to which a rule over rows goes by butterfly: each has a stream to each other (CONNECTION.targetPeers). */
const RULE_MAX_MEMBERS = 64;
/** The same where owners tell each other the distances of every two rows: a sixth of a MiB from each. */
const PAIRWISE_MAX_MEMBERS = 32;

/**
 * What an epoch over `base` would average by if all its members contributed. Encodings that leave values out are summed by everyone,
 * whatever the schedule: zeros need not travel.
 */
export function modeOf(genesis: Genesis, base: SwarmState): Choice {
  const members = base.members.filter((m) => mayContributeNow(base, m.fingerprint, m.nodeClass, genesis)).length;
  const situation = situationOf(genesis, members);
  if (genesis.encoding !== 'dense') return byAll(situation, `of a ${genesis.encoding} encoding`);
  const most = mostMembers(genesis.aggregation);
  return members <= most ? chooseSchedule(situation) : byAll(situation, `under the rule ${genesis.aggregation} beyond ${most} members`);
}

const byAll = (situation: Situation, what: string): Choice => ({
  ...chooseSchedule({ ...situation, wanted: 'gossip' }),
  why: `every node needs every update ${what}`,
});

function mostMembers(rule: AggregationRule): number {
  if (rule === 'mean') return Number.POSITIVE_INFINITY;
  return rule === 'krum' || rule === 'multi-krum' ? PAIRWISE_MAX_MEMBERS : RULE_MAX_MEMBERS;
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
