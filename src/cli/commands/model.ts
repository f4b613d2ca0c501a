import { readFile, rename, writeFile } from 'node:fs/promises';
import { Option } from 'commander';
import { StarlingError } from '../../spec/errors.ts';
import type { Register } from '../context.ts';
import { wholeNumber } from '../parse.ts';
import { short } from '../table.ts';

export const registerModel: Register = (program, context) => {
  const model = program.command('model').description('take the model out of the swarm, or hand in an update');

  model
    .command('pull <file>')
    .description('write a head of the model as safetensors')
    .addOption(new Option('--head <head>', 'which head').choices(['finalized', 'latest', 'applied']).default('applied'))
    .action(async (file: string, { head }: { head: 'finalized' | 'latest' | 'applied' }) => {
      const client = await context.connect();
      const { epoch, modelRoot, bytes } = await client.model(head);
      await writeFile(`${file}.partial`, bytes);
      await rename(`${file}.partial`, file);
      context.output.result(
        { file, head, epoch, modelRoot, bytes: bytes.byteLength },
        () => `${file}: epoch ${epoch}, model ${short(modelRoot)}, ${bytes.byteLength} bytes`,
      );
    });

  model
    .command('push <file>')
    .description('hand in one update (safetensors, f32)')
    .requiredOption('--epoch <n>', 'epoch it is for', wholeNumber(0))
    .requiredOption('--samples <n>', 'samples it was learned from', wholeNumber(1))
    .addOption(
      new Option('--kind <kind>', 'new minus old, or the new parameters themselves').choices(['delta', 'parameters']).default('delta'),
    )
    .action(async (file: string, options: { epoch: number; samples: number; kind: 'delta' | 'parameters' }) => {
      const bytes = await readFile(file).catch((cause: unknown) => {
        throw new StarlingError(
          'NOT_FOUND',
          `${file} cannot be read: ${(cause as Error).message}`,
          { field: 'file', fix: 'check the path' },
          { cause },
        );
      });
      const client = await context.connect();
      const receipt = await client.submit(options, bytes);
      context.output.result(receipt, () =>
        receipt.contributionId === null
          ? `learned on the way to epoch ${receipt.epoch}: no quorum is in reach, it is part of a later contribution`
          : `contribution ${receipt.contributionId} for epoch ${receipt.epoch}`,
      );
    });
};
