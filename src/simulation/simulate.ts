/** A scenario over many seeds: what `starling simulate` prints. */
import type { Hex } from '../spec/index.ts';
import { planOf } from './plan.ts';
import { digestOf, encodeReport, reportOf } from './report.ts';
import { type RunOutcome, runScenario } from './run.ts';
import type { Scenario } from './scenario.ts';
import { shrink } from './shrink.ts';

export interface Summary {
  readonly scenario: string;
  readonly seed: number;
  readonly nodes: number;
  readonly runs: number;
  readonly epochs: number;
  /** Epochs at which agreement broke: two blocks, unequal roots, or a final epoch taken back. */
  readonly conflicts: number;
  /** Runs that did not go on in time, or in which an honest process stopped. */
  readonly unfinished: number;
  /** Acknowledged entries that an honest node does not hold at the end. */
  readonly lost: number;
  /** sha256 of the report. */
  readonly digest: Hex;
  readonly failingSeeds: readonly number[];
}

export interface Simulated {
  readonly summary: Summary;
  readonly outcomes: readonly RunOutcome[];
  /** The bytes of report.json. */
  readonly report: Uint8Array;
  /** The first failing seed as a short scenario of its own. */
  readonly failure: Scenario | undefined;
}

export interface Progress {
  /** `epoch` has become final in the run with this seed. */
  epoch(seed: number, epoch: number): void;
  done(outcome: RunOutcome): void;
  shrinking(seed: number): void;
}

/** Runs seeds `seed`, `seed + 1`, ... in turn. `signal` ends it between two runs. */
export async function simulate(
  scenario: Scenario,
  options: { readonly seed: number; readonly runs: number },
  progress: Progress,
  signal?: AbortSignal,
): Promise<Simulated> {
  const outcomes: RunOutcome[] = [];
  for (let i = 0; i < options.runs; i++) {
    signal?.throwIfAborted();
    const seed = options.seed + i;
    const outcome = await runScenario(scenario, seed, { onEpoch: (epoch) => progress.epoch(seed, epoch) });
    outcomes.push(outcome);
    progress.done(outcome);
  }
  const report = encodeReport(reportOf(scenario, outcomes));
  const failing = outcomes.filter((o) => o.verdict === 'broken');
  const epochsWith =
    (...kinds: readonly string[]) =>
    (outcome: RunOutcome): number =>
      new Set(outcome.violations.filter((v) => kinds.includes(v.kind)).map((v) => v.epoch)).size;
  const sum = (of: (outcome: RunOutcome) => number): number => outcomes.reduce((n, outcome) => n + of(outcome), 0);
  const summary: Summary = {
    scenario: scenario.name,
    seed: options.seed,
    nodes: scenario.nodes,
    runs: options.runs,
    epochs: scenario.epochs,
    conflicts: sum(epochsWith('conflict', 'roots', 'regress')),
    unfinished: sum((outcome) => Math.min(1, epochsWith('unfinished', 'stopped')(outcome))),
    lost: sum((outcome) => outcome.lost),
    digest: digestOf(report),
    failingSeeds: failing.map((o) => o.seed),
  };
  const [first] = failing;
  if (first === undefined) return { summary, outcomes, report, failure: undefined };
  progress.shrinking(first.seed);
  return { summary, outcomes, report, failure: await shrinkFailure(scenario, first, signal) };
}

/** The shortest scenario found that breaks one of the same things. */
function shrinkFailure(scenario: Scenario, outcome: RunOutcome, signal?: AbortSignal): Promise<Scenario> {
  const broken = new Set(outcome.violations.map((v) => v.kind));
  return shrink(planOf(scenario, outcome.seed), async (plan) => {
    signal?.throwIfAborted();
    const { violations } = await runScenario(plan, plan.seed, { enough: broken });
    return violations.some((v) => broken.has(v.kind));
  });
}
