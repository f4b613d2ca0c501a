import type { Register } from '../context.ts';
import { duration, facts, short } from '../table.ts';

export const registerStatus: Register = (program, context) => {
  program
    .command('status')
    .description('this node, its swarm and its epoch at a glance')
    .action(async () => {
      const client = await context.connect();
      const [node, health, swarm, epoch, ledger, peers] = await Promise.all([
        client.call('node_info'),
        client.call('node_health'),
        client.call('swarm_info'),
        client.call('epoch_current'),
        client.call('ledger_head'),
        client.call('peers_list'),
      ]);
      const { swarmId, name, seats, tolerance } = swarm;
      const quarantined = peers.filter(({ quarantine }) => quarantine !== null);
      const document = {
        node,
        health,
        swarm: { swarmId, name, members: swarm.members.length, seats, tolerance },
        epoch,
        ledger,
        peers: peers.length,
        quarantined: quarantined.map(({ fingerprint, quarantine }) => ({ fingerprint, ...quarantine })),
      };
      context.output.result(document, () =>
        [
          facts([
            ['node', `${short(node.fingerprint)} (${node.class}), up ${duration(node.uptimeMs)}, pid ${node.pid}`],
            ['swarm', `${name} ${short(swarmId)}, ${swarm.members.length} members, ${seats} seats`],
            ['tolerance', tolerance],
            ['peers', peers.length],
            ...quarantined.map(
              ({ fingerprint, quarantine }) =>
                ['quarantined', `${short(fingerprint)} since epoch ${quarantine?.sinceEpoch}: ${quarantine?.where}`] as const,
            ),
            ['epoch', `${epoch.epoch}, ${epoch.phase}${epoch.deadlineMs === null ? '' : `, ${duration(epoch.deadlineMs)} left`}`],
            ['applied', `epoch ${epoch.applied.epoch}, model ${short(epoch.applied.modelRoot)}`],
            ['finalized', `epoch ${epoch.finalized.epoch}`],
            ...(epoch.pinned === null ? [] : [['pinned', `at epoch ${epoch.pinned}; starling rollback --resume`] as const]),
            ['ledger', `${ledger.treeSize} entries, root ${short(ledger.treeRoot)}`],
            ['compute', node.compute.backend],
          ]),
          ...node.addresses.map((address) => `  ${address}`),
          ...health.problems.map(({ code, message, fix }) => `problem ${code}: ${message}${fix === undefined ? '' : ` (fix: ${fix})`}`),
        ].join('\n'),
      );
    });
};
