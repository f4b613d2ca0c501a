import { randomBytes } from 'node:crypto';
import { Connections } from '../../src/network/connections.ts';
import { hostKey } from '../../src/network/identity.ts';
import { createNode } from '../../src/network/node.ts';
import { PeerTable } from '../../src/network/peerTable.ts';
import { Penalties } from '../../src/network/penalties.ts';
import { LibpStreams } from '../../src/network/streams.ts';
import { TrafficMeter } from '../../src/network/traffic.ts';
import { chooseTransports } from '../../src/network/transports.ts';
import type { Node } from '../../src/network/types.ts';
import { LISTEN, recordingJournal, SWARM, type TransportName } from './networkHosts.ts';

interface Raw {
  readonly node: Node;
  readonly peers: PeerTable;
  readonly connections: Connections;
}

const running = new Set<Raw>();

/** The libp2p node of a host without what the host builds on it: for counting connections and for misbehaving. */
export async function startRaw(transport: TransportName): Promise<Raw> {
  const journal = recordingJournal();
  const { privateKey } = await hostKey(new Uint8Array(randomBytes(32)));
  const { transports, listen } = await chooseTransports([LISTEN[transport]], journal);
  const node = await createNode({
    privateKey,
    swarmId: SWARM,
    listen,
    transports,
    traffic: new TrafficMeter(),
    penalties: new Penalties(),
  });
  const peers = new PeerTable();
  const connections = new Connections(SWARM, { node, peers, journal });
  await new LibpStreams(SWARM, { node, peers, journal }).start();
  connections.start();
  await node.start();
  const raw = { node, peers, connections };
  running.add(raw);
  return raw;
}

export async function stopRaw(): Promise<void> {
  for (const { connections } of running) connections.stop();
  await Promise.all([...running].map(({ node }) => node.stop()));
  running.clear();
}
