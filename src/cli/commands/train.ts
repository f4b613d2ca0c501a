import { connect } from '../../api/client.ts';
import type { CliContext, Register } from '../context.ts';
import { wholeNumber } from '../parse.ts';
import { parseShard, positiveNumber, type TrainFlags } from '../train/plan.ts';

/** Ms for the goodbye of an interrupted trainer. */
const DETACH_MS = 2_000;

export const registerTrain: Register = (program, context) => {
  program
    .command('train')
    .description('a trainer: learns from a data set on this machine, epoch by epoch, through the daemon')
    .requiredOption('--dataset <name|path>', 'digits, a .csv or .csv.gz file (class last), or a folder of idx files')
    .option('--shard <i/n>', 'learn from part i of n only, i from 0; parts do not overlap', parseShard)
    .option('--alpha <a>', "unevenness of the parts' classes (Dirichlet): small is uneven", positiveNumber, 0.3)
    .option('--by-label', 'parts of whole classes instead')
    .option('--epochs <n>', 'epochs to take part in', wholeNumber(1), 10)
    .option('--seed <n>', 'of the parts and of the order of samples', wholeNumber(0), 1)
    .option('--passes <n>', 'passes over the samples in an epoch', wholeNumber(1, 1_000))
    .option('--lr <x>', 'step size', positiveNumber)
    .option('--batch <n>', 'samples a step', wholeNumber(1))
    .option('--samples-per-epoch <n>', 'samples in an epoch; a larger part is sampled anew each time', wholeNumber(1))
    .option('--min-trainers <n>', 'begin once this many trainers are attached in the swarm', wholeNumber(1), 1)
    .option('--compare-alone', 'afterwards train the same without the swarm, and show both')
    .action((flags: TrainFlags) => run(flags, context));
};

async function run(flags: TrainFlags, context: CliContext): Promise<void> {
  const [{ planOf }, { Link }, { train }, { describeEvent }] = await Promise.all([
    import('../train/plan.ts'),
    import('../train/link.ts'),
    import('../train/train.ts'),
    import('../train/events.ts'),
  ]);
  const watch: Parameters<typeof train>[2] = (event) => {
    context.output.text(describeEvent(event));
    process.send?.(event);
  };
  await context.connect(); // no daemon at all is wrong at once; only one that was there is waited for
  const link = new Link({
    connect: () => context.connect(),
    name: `starling train ${flags.dataset}`,
    signal: context.signal,
    onAway: (away) => watch({ kind: 'away', away }),
  });
  try {
    context.output.result(await train(planOf(flags), link, watch, context.signal));
  } finally {
    await link.detach(
      connect({
        data: context.data(),
        api: context.api(),
        token: context.environment.STARLING_TOKEN,
        signal: AbortSignal.timeout(DETACH_MS),
      }),
    );
  }
}
