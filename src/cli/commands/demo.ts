import { Option } from 'commander';
import type { Register } from '../context.ts';
import type { DemoPlan } from '../demo/plan.ts';
import { wholeNumber } from '../parse.ts';
import { positiveNumber } from '../train/plan.ts';

/** Processes on one machine: two a node. */
const NODES_MAX = 64;

export const registerDemo: Register = (program, context) => {
  program
    .command('demo')
    .description('a swarm of real daemons on this machine learns together; exit code 0 only if all end with the same model and ledger')
    .option('--nodes <n>', 'daemons, each with a trainer', wholeNumber(1, NODES_MAX), 4)
    .option('--epochs <n>', 'epochs to train', wholeNumber(1), 10)
    .option('--dataset <name|path>', 'digits, a .csv or .csv.gz file (class last), or a folder of idx files', 'digits')
    .option('--alpha <a>', "unevenness of the nodes' classes (Dirichlet): small is uneven", positiveNumber, 0.3)
    .option('--seed <n>', 'of the model, the parts and the order of samples', wholeNumber(0, 2 ** 32 - 1), 1)
    .addOption(new Option('--transport <transport>', 'how the daemons connect').choices(['tcp', 'quic']).default('tcp'))
    .option('--keep', 'leave the daemons running, and print how to talk to them', false)
    .action(async (plan: DemoPlan) => {
      const { runDemo } = await import('../demo/run.ts');
      await runDemo(plan, context);
    });
};
