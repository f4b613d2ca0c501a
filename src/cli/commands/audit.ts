import type { Register } from '../context.ts';
import { NOTE_MAX_BYTES, readText } from '../files.ts';
import { table } from '../table.ts';

interface Flags {
  readonly checkpoint: string;
  readonly proof: string;
  readonly signer?: string;
}

export const registerAudit: Register = (program, context) => {
  program
    .command('audit')
    .description('check a proof against a checkpoint, offline: no daemon, no data folder; exit code 1 names what does not match')
    .requiredOption('--checkpoint <file>', 'signed checkpoint, from somebody you trust (starling ledger checkpoint --out)')
    .requiredOption('--proof <file>', 'what to check (starling ledger prove --out)')
    .option('--signer <fingerprint>', 'the only node whose checkpoint counts')
    .action(async (flags: Flags) => {
      const [{ audit, PROOF_MAX_BYTES }, { AUDIT_RULES }] = await Promise.all([
        import('../../ledger/index.ts'),
        import('../../node/proofs.ts'),
      ]);
      const [note, proof] = await Promise.all([
        readText(flags.checkpoint, 'checkpoint', NOTE_MAX_BYTES),
        readText(flags.proof, 'proof', PROOF_MAX_BYTES),
      ]);
      const report = audit(note, proof, AUDIT_RULES, flags.signer);
      context.failed = !report.ok;
      context.output.result(report, () =>
        [
          table(
            ['check', '', 'found'],
            report.checks.map(({ name, ok, detail }) => [name, ok ? 'ok' : 'FAILED', detail]),
          ),
          report.ok ? 'valid' : `not valid: ${report.checks.at(-1)?.name} does not match`,
        ].join('\n'),
      );
    });
};
