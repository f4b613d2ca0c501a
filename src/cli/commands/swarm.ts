import { resolve } from 'node:path';
import type { Forked } from '../../node/fork.ts';
import type { Register } from '../context.ts';
import { NOTE_MAX_BYTES, readText } from '../files.ts';
import { collect } from '../parse.ts';
import { facts, short, table } from '../table.ts';

interface ForkFlags {
  readonly from: string;
  readonly to: string;
  readonly founder?: string[];
  readonly identity: boolean;
}

/** Nobody is taken along: every operator starts a node of the new swarm by hand, or does not. */
const whatNext = ({ swarmId, parent, epoch, data, founders }: Forked, hasIdentity: boolean): string =>
  [
    facts([
      ['swarm', swarmId],
      ['forked from', `${parent}, epoch ${epoch}`],
      ['founders', founders.map(short).join(' ')],
      ['data', data],
    ]),
    ...(hasIdentity ? [] : [`copy this node's identity.json to ${data} if it is to be one of the founders`]),
    `here: starling daemon --data ${data}`,
    `on the other nodes, with their identity.json in a new folder: starling daemon --data NEW --bootstrap ADDR --swarm ${swarmId}`,
  ].join('\n');

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
    .description('genesis, members with their standing, and what the number of voters survives')
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
            ['member', 'class', 'status', 'vote', 'trust', 'joined', 'last'],
            view.members.map((m) => [short(m.fingerprint), m.class, m.status, m.vote, m.trust.toFixed(4), m.joinedEpoch, m.lastEpoch]),
          ),
        ].join('\n'),
      );
    });

  swarm
    .command('fork')
    .description('a committee that is gone for good: found a new swarm from a checkpoint of the old one and what this folder holds')
    .requiredOption('--from <file>', 'a checkpoint that a member signed (`starling ledger checkpoint`)')
    .requiredOption('--to <dir>', 'new data folder')
    .option('--founder <fingerprint>', 'member that founds it, and votes (repeatable); this node alone by default', collect)
    .option('--no-identity', 'leave the keys of this node out of the new folder')
    .action(async ({ from, to, founder = [], identity }: ForkFlags) => {
      const checkpoint = await readText(from, 'from', NOTE_MAX_BYTES);
      const { forkSwarm } = await import('../../node/fork.ts');
      const request = { checkpoint, to: resolve(to), founders: founder, identity, nowMs: Date.now() };
      const forked = await forkSwarm(context.data(), request);
      context.output.result(forked, () => whatNext(forked, identity));
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
