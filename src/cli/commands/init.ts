import type { Register } from '../context.ts';
import { facts } from '../table.ts';

export const registerInit: Register = (program, context) => {
  program
    .command('init')
    .description('make a data folder: identity, API token and a commented config.toml; what is there already stays')
    .action(async () => {
      const { initialise } = await import('../../node/initialise.ts');
      const made = initialise(context.data());
      context.output.result(made, () =>
        facts([
          ['data', made.data],
          ['fingerprint', made.fingerprint],
          ['config', made.config],
        ]),
      );
    });
};
