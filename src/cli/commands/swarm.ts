import type { Register } from '../context.ts';
import { facts, short, table } from '../table.ts';

export const registerSwarm: Register = (program, context) => {
  const swarm = program.command('swarm').description('found a swarm, or show the one this node is in');

  swarm
    .command('create')
    .description('make a genesis from a configuration file and put it in the data folder')
    .requiredOption('--config <file>', 'TOML file, see configs/default.toml')
    .action(async ({ config }: { config: string }) => {
      const { loadSwarmConfig } = await import('../../node/swarmConfig.ts');
      const swarmConfig = loadSwarmConfig(config);
      const { createSwarm } = await import('../../node/create.ts');
      const made = await createSwarm(context.data(), swarmConfig);
      context.output.result({ ...made, name: swarmConfig.name }, () => `swarm ${swarmConfig.name}: ${made.swarmId}`);
    });

  swarm
    .command('show')
    .description('genesis, members and what their number survives')
    .action(async () => {
      const client = await context.connect();
      const view = await client.call('swarm_info');
      context.output.result(view, () =>
        [
          facts([
            ['swarm', view.swarmId],
            ['name', view.name],
            ['parameters', view.parameters],
            ['tensors', view.tensors.map(({ name, shape }) => `${name}[${shape.join('x')}]`).join(' ')],
            ['seats', view.seats],
            ['tolerance', view.tolerance],
          ]),
          '',
          table(
            ['member', 'class', 'trust', 'joined', 'last'],
            view.members.map((m) => [short(m.fingerprint), m.class, m.trust.toFixed(4), m.joinedEpoch, m.lastEpoch]),
          ),
        ].join('\n'),
      );
    });
};
