import type { Calls, EntryJson } from '../../api/calls.ts';
import { StarlingError } from '../../spec/errors.ts';
import type { Register } from '../context.ts';
import { NOTE_MAX_BYTES, readText, writeWhole } from '../files.ts';
import { wholeNumber } from '../parse.ts';
import { facts, short, table } from '../table.ts';

interface ProveFlags {
  readonly record?: boolean;
  readonly event?: number;
  readonly block?: number;
  readonly since?: string;
  readonly checkpoint?: string;
  readonly out?: string;
}

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
    .command('prove [id]')
    .description('a proof that anyone can check offline (starling audit): of an entry, or what an option asks for')
    .option('--record', "what a contribution did to its author's trust")
    .option('--event <epoch>', 'the system event of a block', wholeNumber(1))
    .option('--block <epoch>', 'a block with all that it decided', wholeNumber(1))
    .option('--since <file>', 'that nothing of an earlier checkpoint was taken back')
    .option('--checkpoint <file>', 'the checkpoint that the reader holds; else this node makes one with `ledger checkpoint`')
    .option('--out <file>', 'write it there')
    .action(async (id: string | undefined, flags: ProveFlags) => {
      const request = await proofRequest(id, flags);
      const client = await context.connect();
      const proof = await client.call('ledger_prove', request);
      if (flags.out !== undefined) await writeWhole(flags.out, formatProof(proof));
      const { out } = flags;
      context.output.result(out === undefined ? proof : { file: out, kind: proof.kind, swarm: proof.swarm }, () =>
        out === undefined ? formatProof(proof).trimEnd() : `${out}: a proof of kind ${proof.kind}`,
      );
    });

  ledger
    .command('checkpoint')
    .description('the newest final roots, signed by this node: what a proof is checked against')
    .option('--out <file>', 'write it there')
    .action(async ({ out }: { out?: string }) => {
      const client = await context.connect();
      const checkpoint = await client.call('ledger_checkpoint');
      if (out !== undefined) await writeWhole(out, checkpoint.note);
      context.output.result(out === undefined ? checkpoint : { file: out, ...checkpoint }, () =>
        out === undefined ? checkpoint.note.trimEnd() : `${out}: epoch ${checkpoint.epoch}, signed by ${checkpoint.signer}`,
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

type ProveParams = Calls['ledger_prove']['params'];

/** What the command line asks to be proved: one thing. Throws BAD_USAGE. */
async function proofRequest(id: string | undefined, flags: ProveFlags): Promise<ProveParams> {
  const { record, event, block, since } = flags;
  const asked = [id, event, block, since].filter((what) => what !== undefined).length;
  if (asked !== 1 || (record === true && id === undefined))
    throw new StarlingError('BAD_USAGE', 'one thing can be proved: an entry id (with --record its record), --event, --block or --since', {
      field: 'id',
      fix: 'see starling ledger prove --help',
    });
  const held = flags.checkpoint === undefined ? {} : { checkpoint: await readText(flags.checkpoint, 'checkpoint', NOTE_MAX_BYTES) };
  if (id !== undefined) return { kind: record === true ? 'record' : 'entry', id, ...held };
  if (since !== undefined) return { kind: 'consistency', since: await readText(since, 'since', NOTE_MAX_BYTES), ...held };
  return event === undefined ? { kind: 'block', epoch: block, ...held } : { kind: 'event', epoch: event, ...held };
}

/** The text of a proof file. */
const formatProof = (proof: unknown): string => `${JSON.stringify(proof, null, 1)}\n`;
