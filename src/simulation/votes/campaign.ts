import { type VotesPlan, votesPlan } from './plan.ts';
import { type Machines, VotesWorld } from './world.ts';

/** Many runs, added up. */
export interface VotesSummary {
  readonly firstSeed: number;
  readonly runs: number;
  /** Runs of each number of nodes. */
  readonly sizes: ReadonlyMap<number, number>;
  /** Runs with f liars, and with faults of the network or the machines. */
  readonly withLiars: number;
  readonly withFaults: number;
  readonly epochs: number;
  readonly conflicts: number;
  /** Runs in which a height was late. */
  readonly unfinished: number;
  readonly healed: number;
  readonly nonEmpty: number;
  /** Longest that a height took after the last fault of its run, virtual ms. */
  readonly slowestMs: number;
  readonly highestRound: number;
  readonly failingSeeds: readonly number[];
}

export interface CampaignOptions {
  readonly epochs: number;
  readonly firstSeed?: number;
  /** What every plan has otherwise than drawn. */
  readonly over?: Partial<VotesPlan>;
  readonly machines?: Machines;
  /** Stop at the first run that breaks an invariant. */
  readonly stopAtFailure?: boolean;
}

/** Runs seeds one after the other until they add up to so many epochs. The same options give the same summary. */
export function runCampaign({ epochs, firstSeed = 1, over = {}, machines, stopAtFailure = false }: CampaignOptions): VotesSummary {
  const sizes = new Map<number, number>();
  const failingSeeds: number[] = [];
  const sum = {
    epochs: 0,
    runs: 0,
    withLiars: 0,
    withFaults: 0,
    conflicts: 0,
    unfinished: 0,
    healed: 0,
    nonEmpty: 0,
    slowestMs: 0,
    highestRound: 0,
  };
  for (let seed = firstSeed; sum.epochs < epochs && !(stopAtFailure && failingSeeds.length > 0); seed++) {
    const plan = votesPlan(seed, over);
    const outcome = new VotesWorld(plan, machines).run();
    sizes.set(plan.nodes, (sizes.get(plan.nodes) ?? 0) + 1);
    sum.runs++;
    sum.epochs += plan.heights;
    if (plan.liars.size > 0) sum.withLiars++;
    if (plan.faults.length > 0) sum.withFaults++;
    sum.conflicts += outcome.conflicts.length;
    if (outcome.unfinished.length > 0) sum.unfinished++;
    sum.healed += outcome.healed;
    sum.nonEmpty += outcome.nonEmpty;
    sum.slowestMs = Math.max(sum.slowestMs, outcome.slowestMs);
    sum.highestRound = Math.max(sum.highestRound, outcome.highestRound);
    if (outcome.conflicts.length > 0 || outcome.unfinished.length > 0) failingSeeds.push(seed);
  }
  return { ...sum, firstSeed, sizes, failingSeeds };
}
