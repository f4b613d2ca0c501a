import type { EntryJson } from '../../api/calls.ts';
import type { Register } from '../context.ts';
import { wholeNumber } from '../parse.ts';
import { facts, short, table } from '../table.ts';

export const registerLedger: Register = (program, context) => {
  const ledger = program.command('ledger').description('read and check the ledger');

  ledger
    .command('list')
    .description('entries in ledger order')
    .option('--from <index>', 'first position', wholeNumber(0), 0)
    .option('--limit <n>', 'how many', wholeNumber(1, 1_000), 100)
    .action(async (options: { from: number; limit: number }) => {
      const client = await context.connect();
      const entries = await client.call('ledger_list', options);
      context.output.result(entries, () => table(['index', 'id', 'author', 'seq', 'lamport', 'kind', 'epoch'], entries.map(row)));
    });

  ledger
    .command('show <id>')
    .description('one entry in full')
    .action(async (id: string) => {
      const client = await context.connect();
      const entry = await client.call('ledger_get', { id });
      context.output.result(entry, () => JSON.stringify(entry, null, 2));
    });

  ledger
    .command('prove <id>')
    .description('proof that an entry is in the ledger (RFC 9162)')
    .action(async (id: string) => {
      const client = await context.connect();
      const proof = await client.call('ledger_prove', { id });
      context.output.result(proof, () =>
        [
          facts([
            ['entry', proof.entry],
            ['index', proof.index],
            ['tree size', proof.treeSize],
            ['tree root', proof.treeRoot],
          ]),
          ...proof.path.map((hash, level) => `${level}  ${hash}`),
        ].join('\n'),
      );
    });

  ledger
    .command('verify')
    .description('check every hash, signature and rule of the stored ledger; exit code 1 on any problem')
    .action(async () => {
      const client = await context.connect();
      const report = await client.call('ledger_verify');
      context.failed = !report.ok;
      context.output.result(report, () =>
        [
          facts([
            ['ok', report.ok ? 'yes' : 'no'],
            ['entries', report.entries],
            ['authors', report.authors],
            ['tree', `${report.treeSize} ${report.treeRoot}`],
            ['forks', report.forks.length],
          ]),
          ...report.problems.map(({ entry, code, message }) => `${code} ${entry}: ${message}`),
        ].join('\n'),
      );
    });
};

const row = (entry: EntryJson): unknown[] => [
  entry.index,
  short(entry.id),
  short(entry.author),
  entry.seq,
  entry.lam,
  entry.kind,
  entry.epochSeen,
];
