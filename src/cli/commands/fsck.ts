import type { Register } from '../context.ts';
import { facts, table } from '../table.ts';

export const registerFsck: Register = (program, context) => {
  program
    .command('fsck')
    .description('check every file of a data folder whose daemon is stopped; exit code 1 when something is left to do')
    .option('--repair', 'keep what is whole and move the rest aside; nothing is deleted', false)
    .action(async ({ repair }: { repair: boolean }) => {
      const { fsck } = await import('../../node/fsck.ts');
      const report = await fsck(context.data(), { repair, atMs: Date.now() });
      context.failed = !report.ok;
      context.output.result(report, () => {
        const { problems } = report;
        const fixes = [...Map.groupBy(problems, ({ fix }) => fix)].map(([fix, [first]]) => `${first?.where}: ${fix}`);
        return [
          facts([
            ['ok', report.ok ? 'yes' : 'no'],
            ['entries', report.entries],
            ['blocks', report.blocks],
            ['contents', report.blobs],
            ...(report.movedTo === null ? [] : [['moved to', report.movedTo] as const]),
          ]),
          ...(problems.length === 0
            ? []
            : [
                table(
                  ['where', 'kind', 'repaired', 'found'],
                  problems.map(({ where, kind, repaired, message }) => [where, kind, repaired ? 'yes' : 'no', message]),
                ),
              ]),
          ...fixes,
        ].join('\n');
      });
    });
};
