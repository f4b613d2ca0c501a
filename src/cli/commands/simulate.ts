import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { RunOutcome, Summary } from '../../simulation/index.ts';
import type { CliContext, Register } from '../context.ts';
import { wholeNumber } from '../parse.ts';
import { duration, table } from '../table.ts';

/** What one machine simulates in a day; a scenario bounds nodes and epochs itself. */
const RUNS_MAX = 100_000;
/** Runs of which each has a row in the table; of more, only those that broke something. */
const ROWS_MAX = 20;
/** Epochs of one run between two lines of progress. */
const TELL_EVERY = 25;

interface Flags {
  readonly seed?: number;
  readonly nodes?: number;
  readonly epochs?: number;
  readonly runs: number;
  readonly out?: string;
}

export const registerSimulate: Register = (program, context) => {
  program
    .command('simulate')
    .argument('<scenario>', 'calm, lossy, partition, churn, crash, byzantine, everything, or a TOML file')
    .description('the same nodes under virtual time and every kind of fault; exit code 1 when an invariant breaks')
    .option('--seed <n>', 'of everything that is drawn; the same seed gives the same bytes', wholeNumber(0, 2 ** 32 - 1))
    .option('--nodes <n>', 'nodes of the swarm', wholeNumber(1))
    .option('--epochs <n>', 'epochs that every honest node must finalise', wholeNumber(1))
    .option('--runs <n>', 'runs, with the seeds that follow', wholeNumber(1, RUNS_MAX), 1)
    .option('--out <dir>', 'write the signed report there, and the short scenario of a failing seed')
    .action((scenario: string, flags: Flags) => run(scenario, flags, context));
};

async function run(name: string, { seed, nodes, epochs, runs, out }: Flags, context: CliContext): Promise<void> {
  const { formatScenario, loadScenario, signReport, simulate } = await import('../../simulation/index.ts');
  const scenario = loadScenario(name, { ...(nodes === undefined ? {} : { nodes }), ...(epochs === undefined ? {} : { epochs }) });
  const tell = (line: string): void => void process.stderr.write(`${line}\n`);
  const progress = {
    epoch: (at: number, epoch: number) => {
      if (epoch % TELL_EVERY === 0) tell(`seed ${at}: epoch ${epoch}`);
    },
    done: (outcome: RunOutcome) => {
      if (runs > 1) tell(`seed ${outcome.seed}: ${outcome.verdict}, ${outcome.epochs.length} epochs`);
      for (const { kind, node, epoch, atMs, detail } of outcome.violations)
        tell(`seed ${outcome.seed}: ${kind} at ${duration(atMs)}, node ${node}, epoch ${epoch}: ${detail}`);
    },
    shrinking: (at: number) => tell(`seed ${at} failed; looking for a short scenario that fails in the same way`),
  };
  const { summary, outcomes, report, failure } = await simulate(scenario, { seed: seed ?? scenario.seed, runs }, progress, context.signal);
  const short = failure === undefined ? undefined : formatScenario(failure);
  if (short !== undefined) tell(`\n# starling simulate FILE, with this in the file, fails in the same way:\n${short}`);
  if (out !== undefined) {
    const folder = resolve(out);
    const save = (file: string, content: string | Uint8Array) => writeFile(join(folder, file), content);
    await mkdir(folder, { recursive: true });
    await save('report.json', report);
    await save('report.sig.json', `${JSON.stringify(signReport(report), null, 2)}\n`);
    if (failure !== undefined && short !== undefined) await save(`failure-${failure.seed}.toml`, short);
  }
  context.failed = summary.failingSeeds.length > 0;
  context.output.result(summary, () => describe(summary, outcomes));
}

function describe(summary: Summary, outcomes: readonly RunOutcome[]): string {
  const rows = outcomes.length <= ROWS_MAX ? outcomes : outcomes.filter((o) => o.verdict === 'broken').slice(0, ROWS_MAX);
  const dishonest = (o: RunOutcome): string => o.nodes.flatMap((n) => n.dishonest ?? []).join(', ') || '-';
  const rounds = (o: RunOutcome): number => Math.max(0, ...o.epochs.map((e) => e.round));
  const runs = table(
    ['seed', 'verdict', 'epochs', 'faults', 'dishonest', 'rounds', 'recovered', 'simulated'],
    rows.map((o) => [
      o.seed,
      o.verdict,
      o.epochs.length,
      o.faults,
      dishonest(o),
      rounds(o) + 1,
      o.recoveredMs === null ? '-' : duration(o.recoveredMs),
      duration(o.virtualMs),
    ]),
  );
  const { scenario, nodes, conflicts, unfinished, lost, digest, failingSeeds } = summary;
  return [
    ...(rows.length === 0 ? [] : [runs, '']),
    `${scenario}: ${nodes} nodes, ${summary.runs} runs, ${conflicts} conflicts, ${unfinished} unfinished, ${lost} lost`,
    ...(failingSeeds.length === 0 ? [] : [`failing seeds: ${failingSeeds.join(' ')}`]),
    `report ${digest}`,
  ].join('\n');
}
