import { INLINE_MESSAGE_MAX_BYTES, INLINE_SWARM_MAX_BYTES, QMAX, type Schedule, type UpdateDtype, WEIGHT_TOTAL } from '../../spec/index.ts';
import { dtypeBytes } from '../integers.ts';
import { RING_MAX_MEMBERS } from './arrange.ts';
import { butterflyPlan } from './butterfly.ts';
import { gridOf, gridPlan, ringOf } from './grid.ts';
import { bytesIn, type Plan, type Summands } from './plan.ts';
import { segmentBytes } from './segments.ts';

export type ScheduleKind = Exclude<Schedule, 'auto'>;

export interface Situation {
  readonly parameters: number;
  readonly dtype: UpdateDtype;
  readonly members: number;
  /** sum: the weighted mean. rows: a rule that needs to see every row of a coordinate. */
  readonly rule: 'sum' | 'rows';
  /** Whether members may see each other's rows (PROTOCOL section 9). Rules over rows are not to be had otherwise. */
  readonly rowsMayBeSeen: boolean;
  /** Failed links among the members. */
  readonly brokenLinks: number;
  /** What the genesis asks for; auto where nothing does. */
  readonly wanted?: Schedule;
}

export interface Choice {
  readonly schedule: ScheduleKind;
  /** One sentence with the figures that decided: for people. */
  readonly why: string;
  /** Payload bytes that a member sends at most, and steps one after another. Gossip: bytes of one copy to each other member. */
  readonly bytes: number;
  readonly steps: number;
}

/** Streams one member keeps to others at once for a sum: enough for the swarms people have at home, and few for a router. */
const BUTTERFLY_SUM_MAX_MEMBERS = 9;

/**
 * gossip, ring, grid or butterfly, from sizes and rule alone, so that every member chooses the same (PROTOCOL sections 4 and 6).
 * Inline updates are gossiped, and everybody sums. Rules over rows, and sums among a few, go by butterfly: two steps and the
 * fewest bytes, over a stream to everyone. A ring needs two streams a member, a grid two a dimension and steps of order log N.
 * A schedule that is wanted is taken, but for a butterfly whose links have failed.
 */
export function chooseSchedule(situation: Situation): Choice {
  const { parameters, dtype, members, rule, rowsMayBeSeen, brokenLinks, wanted = 'auto' } = situation;
  const bytes = parameters * dtypeBytes(dtype);
  const size = `${members} members x ${bytes} bytes`;
  if (members <= 1) return { schedule: 'gossip', why: 'nobody else takes part', bytes: 0, steps: 0 };
  const gossip = (why: string): Choice => ({ schedule: 'gossip', why: `${size}: ${why}`, bytes: bytes * (members - 1), steps: 1 });
  if (wanted === 'gossip') return gossip('the genesis says so, every node sums');
  if (wanted === 'auto' && bytes <= INLINE_MESSAGE_MAX_BYTES && members * bytes <= INLINE_SWARM_MAX_BYTES)
    return gossip('inline in the message, every node sums');
  const qmax = QMAX[dtype];
  const each = Math.floor(WEIGHT_TOTAL / members);
  const summands: Summands = { elements: parameters, weights: new Array<number>(members).fill(each), qmax };
  const choice = (schedule: ScheduleKind, plan: Plan, why: string): Choice => ({
    schedule,
    why: `${why} (${size})`,
    bytes: bytesIn(plan.sends),
    steps: plan.steps,
  });
  if (rule === 'rows') {
    const why = 'the rule needs every row of a coordinate: each segment of the rows goes to a few members';
    return { schedule: 'butterfly', why: `${why} (${size})`, bytes: segmentBytes(parameters, dtype, members), steps: 2 };
  }
  const byWish = 'the genesis says so';
  const whole = rowsMayBeSeen && brokenLinks === 0;
  if (whole && (wanted === 'butterfly' || (wanted === 'auto' && members <= BUTTERFLY_SUM_MAX_MEMBERS))) {
    const why = `two steps and the fewest bytes, with a stream to each of ${members - 1} others`;
    return choice('butterfly', butterflyPlan(0, summands), wanted === 'butterfly' ? byWish : why);
  }
  const ring = gridPlan(ringOf(members), 0, summands);
  if (wanted === 'ring') return choice('ring', ring, byWish);
  if (wanted !== 'grid' && members <= RING_MAX_MEMBERS) {
    const why =
      brokenLinks > 0
        ? 'some links failed: a ring needs two of each member'
        : `a stream each way instead of one to each of ${members - 1} others`;
    return choice('ring', ring, why);
  }
  const grid = gridOf(members);
  const plan = gridPlan(grid, 0, summands);
  const why = `a ring would take ${2 * (members - 1)} steps, a grid of ${grid.sides.join(' x ')} takes ${plan.steps}`;
  return choice('grid', plan, wanted === 'grid' ? byWish : why);
}
