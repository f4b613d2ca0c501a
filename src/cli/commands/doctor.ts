import type { Register } from '../context.ts';
import { table } from '../table.ts';

export const registerDoctor: Register = (program, context) => {
  program
    .command('doctor')
    .description('check what a daemon needs on this machine; exit code 1 when something is missing')
    .action(async () => {
      const { examine } = await import('../doctor/checks.ts');
      const findings = await examine(context.data(), context.environment);
      const ok = findings.every(({ state }) => state !== 'failed');
      context.failed = !ok;
      context.output.result({ ok, checks: findings }, () => {
        const fixes = findings.filter(({ fix }) => fix !== undefined).map(({ check, fix }) => `${check}: ${fix}`);
        return [
          table(
            ['check', 'state', 'found'],
            findings.map(({ check, state, found }) => [check, state, found]),
          ),
          ...fixes,
        ].join('\n');
      });
    });
};
