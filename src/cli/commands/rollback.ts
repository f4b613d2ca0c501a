import { StarlingError } from '../../spec/errors.ts';
import type { Register } from '../context.ts';
import { wholeNumber } from '../parse.ts';
import { facts, short } from '../table.ts';

interface Flags {
  readonly to?: number;
  readonly swarm: boolean;
  readonly resume: boolean;
}

export const registerRollback: Register = (program, context) => {
  program
    .command('rollback')
    .description(
      'hold this node at an earlier epoch (--to), or let it go on (--resume); with --swarm, vote to bring back that model for all',
    )
    .option('--to <epoch>', 'the epoch whose model comes back', wholeNumber(0))
    .option('--swarm', "only write this voter's ballot: once a quorum has, the next block restores the model everywhere", false)
    .option('--resume', 'end a rollback of this node: it catches up and takes part again', false)
    .action(async ({ to, swarm, resume }: Flags) => {
      if ((to === undefined) !== resume || (resume && swarm))
        throw new StarlingError('BAD_USAGE', 'rollback takes --to EPOCH, --to EPOCH --swarm, or --resume', {
          field: 'to',
          fix: 'see starling rollback --help',
        });
      const client = await context.connect();
      if (to === undefined) {
        const now = await client.call('epoch_resume');
        context.output.result(now, () => `goes on from epoch ${now.applied.epoch}`);
      } else if (swarm) {
        const ballot = await client.call('swarm_ballot', { action: 'restore', epoch: to });
        context.output.result(
          ballot,
          () => `ballot ${short(ballot.entry)}: ${ballot.ayes.length} of ${ballot.quorum} voters want the model of epoch ${to} back`,
        );
      } else {
        const stood = await client.call('epoch_rollback', { epoch: to });
        context.output.result(stood, () =>
          [
            facts([
              ['epoch', stood.epoch],
              ['model', stood.modelRoot],
              ['tree', `${stood.treeSize} ${stood.treeRoot}`],
              ['state', stood.stateRoot],
            ]),
            'this node stands still until `starling rollback --resume`',
          ].join('\n'),
        );
      }
    });
};
