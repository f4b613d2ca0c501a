import { Option } from 'commander';
import { NODE_CLASSES, type NodeClass } from '../../spec/types.ts';
import type { Register } from '../context.ts';
import { timeSpan, wholeNumber } from '../parse.ts';

interface Flags {
  readonly vote: boolean;
  readonly class: NodeClass;
  /** Ms from now. */
  readonly expires: number;
  readonly uses: number;
}

/** Ms: a week. */
const DEFAULT_EXPIRY = 7 * 86_400_000;

export const registerInvite: Register = (program, context) => {
  program
    .command('invite')
    .description('print a token that admits a node to the swarm (starling daemon --invite TOKEN); only voters may')
    .option('--vote', 'with the right to vote on blocks', false)
    .addOption(new Option('--class <class>', 'class that the node may take').choices([...NODE_CLASSES]).default('core'))
    .addOption(new Option('--expires <time>', 'how long it is good for').argParser(timeSpan).default(DEFAULT_EXPIRY, '7d'))
    .option('--uses <n>', 'nodes that it admits', wholeNumber(1, 65_536), 1)
    .action(async (flags: Flags) => {
      const client = await context.connect();
      const issued = await client.call('swarm_invite', {
        nodeClass: flags.class,
        vote: flags.vote,
        expiresMs: Date.now() + flags.expires,
        uses: flags.uses,
      });
      context.output.result(issued, () => issued.token);
    });
};
