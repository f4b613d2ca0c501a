import { setFlagsFromString } from 'node:v8';
import { Option } from 'commander';
import { NODE_CLASSES } from '../../spec/types.ts';
import type { Register } from '../context.ts';
import { collect, wholeNumber } from '../parse.ts';

interface Flags {
  readonly bootstrap?: string[];
  readonly swarm?: string;
  readonly listen?: string[];
  readonly uploadKbit?: number;
  readonly apiPort?: number;
  readonly class?: string;
  readonly invite?: string;
}

export const registerDaemon: Register = (program, context) => {
  program
    .command('daemon')
    .description("run this machine's node until it is stopped; with nothing to join it founds a swarm")
    .option('--bootstrap <addr>', 'multiaddr of a node to dial first (repeatable)', collect)
    .option('--swarm <id>', 'refuse any other swarm than this')
    .option('--listen <addr>', 'multiaddr to listen on instead of the defaults (repeatable)', collect)
    .option('--upload-kbit <n>', '1,000 bits a second that this node sends at most, over all peers', wholeNumber(1_000, 100_000_000))
    .option('--api-port <n>', 'port of the API on 127.0.0.1; 0 picks a free one', wholeNumber(0, 65_535))
    .addOption(new Option('--class <class>', 'what this node does in the swarm').choices([...NODE_CLASSES]))
    .option('--invite <token>', 'what `starling invite` printed on a voter: admits this node, perhaps with the right to vote')
    .action(async (flags: Flags) => {
      const { loadDaemonConfig } = await import('../../node/config.ts');
      const config = loadDaemonConfig(
        context.data(),
        {
          bootstrap: flags.bootstrap,
          swarm: flags.swarm,
          listen: flags.listen,
          upload_kbit: flags.uploadKbit,
          api_port: flags.apiPort,
          class: flags.class,
          invite: flags.invite,
        },
        context.environment,
      );
      // Measured: 27 MiB less of a daemon's 125, and no slower. By default V8 doubles its nursery while modules load,
      // and a daemon that waits for epochs never needs it again. Bulk streams are more than twice as fast for it (npm run bench flow):
      // their buffers go with a small nursery, and do not make V8 mark the whole heap. It must be said before they load.
      setFlagsFromString('--semi-space-growth-factor=1');
      const { runDaemon } = await import('../../node/daemon.ts');
      await runDaemon(config, context.signal);
    });
};
