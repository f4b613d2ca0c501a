import type { EpochView } from '../../api/service.ts';
import type { CliContext, Register } from '../context.ts';
import { wholeNumber } from '../parse.ts';
import { short, table } from '../table.ts';

const HEAD = ['epoch', 'status', 'contributions', 'dropped', 'schedule', 'samples', 'decision', 'model', 'ledger', 'entries'];

export const registerEpochs: Register = (program, context) => {
  program
    .command('epochs')
    .description('decided epochs, newest first')
    .option('--limit <n>', 'how many', wholeNumber(1, 1_000), 20)
    .option('--watch', 'print each further epoch as this node applies it, until interrupted')
    .action(async ({ limit, watch }: { limit: number; watch?: boolean }) => {
      const client = await context.connect();
      const epochs = await client.call('epoch_list', { limit });
      if (watch === true) return watchEpochs(context, epochs);
      context.output.result(epochs, () => table(HEAD, epochs.map(row)));
    });
};

/** Oldest first, then line by line as they come. Under --json the document is the list of what was seen. */
async function watchEpochs(context: CliContext, epochs: readonly EpochView[]): Promise<void> {
  const client = await context.connect();
  const seen = [...epochs].reverse();
  context.output.text(table(HEAD, seen.map(row)));
  let next = (seen.at(-1)?.epoch ?? -1) + 1;
  while (!context.signal.aborted) {
    try {
      const { applied } = await client.call('epoch_wait', { epoch: next });
      for (; next <= applied.epoch; next++) {
        const view = await client.call('epoch_get', { epoch: next });
        seen.push(view);
        context.output.text(row(view).join('  '));
      }
    } catch (error) {
      if (context.signal.aborted) break;
      if (!isTimeout(error)) throw error;
    }
  }
  context.output.result(seen);
}

const isTimeout = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 'TIMEOUT';

function row(view: EpochView): unknown[] {
  const inSum = new Set(view.survivors);
  const contributions = view.roster.filter(({ entry, weight }) => weight > 0 && inSum.has(entry));
  const samples = contributions.reduce((sum, entry) => sum + (entry.samples ?? 0), 0);
  return [
    view.epoch,
    view.status,
    contributions.length,
    view.dropped.length,
    view.schedule.mode ?? '-',
    samples,
    short(view.decision),
    short(view.modelRoot),
    short(view.treeRoot),
    view.treeSize,
  ];
}
