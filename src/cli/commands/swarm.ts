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

  for (const [action, does] of [
    ['admit', 'vote to give a member the right to vote'],
    ['remove', 'vote to take the vote from a member that is gone'],
  ] as const)
    swarm
      .command(`${action} <fingerprint>`)
      .description(`${does}; done once a quorum of the voters has`)
      .action(async (subject: string) => {
        const client = await context.connect();
        const ballot = await client.call('swarm_ballot', { action, subject });
        context.output.result(
          ballot,
          () => `ballot ${short(ballot.entry)}: ${ballot.ayes.length} of ${ballot.quorum} voters want to ${action} ${short(subject)}`,
        );
      });

  for (const [action, does] of [
    ['leave', 'give up the membership of this node'],
    ['resume', 'take it up again after leaving, an absence or a suspension'],
  ] as const)
    swarm
      .command(action)
      .description(does)
      .action(async () => {
        const client = await context.connect();
        const said = await client.call('swarm_membership', { action });
        context.output.result(said, () => `${action}: entry ${short(said.entry)}; one of the next blocks carries it out`);
      });
};
