import { multiaddr } from '@multiformats/multiaddr';
import type { Journal } from '../../src/epoch/index.ts';
import { encodeRequest } from '../../src/ledger/syncMessages.ts';
import { Connections } from '../../src/network/connections.ts';
import { fetchGenesis } from '../../src/network/genesis.ts';
import { hostKey } from '../../src/network/identity.ts';
import { createNode } from '../../src/network/node.ts';
import { PeerTable } from '../../src/network/peerTable.ts';
import { Penalties } from '../../src/network/penalties.ts';
import { LibpStreams } from '../../src/network/streams.ts';
import { TrafficMeter } from '../../src/network/traffic.ts';
import { chooseTransports } from '../../src/network/transports.ts';
import type { SignedEntry } from '../../src/spec/index.ts';
import { type ContentRequest, decodeContentRequest, encodeMetaUpdate, epochTopic } from '../../src/wire/index.ts';
import { Author, type Contribution, newSeeds } from './author.ts';
import { type Daemon, until } from './daemons.ts';

const QUIET: Journal = { log: () => undefined, count: () => undefined, observe: () => undefined };
/** Ms for one answer. */
const ANSWER_MS = 5_000;
/** An RPC of 10 MiB, as gossipsub frames it: its length as a varint. */
const TEN_MIB_FRAME = Uint8Array.of(0x80, 0x80, 0x80, 0x05);

/** A member of a daemon's swarm over real sockets that sends what it is told to, without the checks that a node makes. */
export interface HostilePeer {
  readonly author: Author;
  /** Hands entries over by ledger sync. */
  push(...entries: readonly SignedEntry[]): Promise<void>;
  /** Hands a contribution over as an honest node does: its key first, then its manifest on the topic of its epoch. */
  publish(contribution: Contribution): Promise<void>;
  /** Answers whoever pulls content of it; a thrown StarlingError is a refusal. */
  give(answer: (request: ContentRequest) => Uint8Array): void;
  /** Sends bytes on a topic that the daemon is on; at most what gossipsub takes. */
  gossip(topic: string, data: Uint8Array): Promise<void>;
  /** A gossip message of 10 MiB: gossipsub itself would not send it, so it goes out on a stream of its own. */
  sendTenMiB(): Promise<void>;
  leave(): Promise<void>;
}

/**
 * Joins the swarm of a daemon; resolves once that has made it a member. Its join begins an epoch that nobody contributes to: whatever was
 * made for that one would come too late.
 */
export async function joinAsHostile(daemon: Daemon): Promise<HostilePeer> {
  const { genesis, swarmId } = await fetchGenesis(daemon.address, { timeoutMs: ANSWER_MS, journal: QUIET });
  const seeds = newSeeds();
  const author = new Author(seeds, swarmId, genesis);
  const { privateKey } = await hostKey(seeds.ed25519Seed);
  const { transports } = await chooseTransports([], QUIET);
  const node = await createNode({ privateKey, swarmId, listen: [], transports, traffic: new TrafficMeter(), penalties: new Penalties() });
  const parts = { node, peers: new PeerTable(), journal: QUIET };
  const connections = new Connections(swarmId, parts);
  const streams = new LibpStreams(swarmId, parts);
  await streams.start();
  connections.start();
  await node.start();
  await node.dial(multiaddr(daemon.address));
  const { peerId } = daemon.info;
  const { gossip } = node.services;

  const hostile: HostilePeer = {
    author,
    async push(...entries) {
      const request = encodeRequest({ type: 'push', entries });
      await streams.request(peerId, 'sync', request, { timeoutMs: ANSWER_MS, maxResponseBytes: 1_024 });
    },
    async publish({ entry, manifest, keys }) {
      streams.notify(peerId, 'keys', keys);
      await hostile.gossip(epochTopic(swarmId, entry.core.body.epoch), encodeMetaUpdate(manifest));
    },
    give(answer) {
      streams.handle('content', async (_from, payload) => answer(decodeContentRequest(payload)));
    },
    async gossip(topic, data) {
      await until(
        () => `the daemon is on ${topic}`,
        () => gossip.getSubscribers(topic).some((one) => one.toString() === peerId),
      );
      await gossip.publish(topic, data);
    },
    async sendTenMiB() {
      const [connection] = node.getConnections();
      if (connection === undefined) throw new Error('the daemon has ended the connection');
      const stream = await connection.newStream([...gossip.protocols]);
      stream.send(TEN_MIB_FRAME);
      for (let sent = 0; sent < 10; sent++) stream.send(new Uint8Array(1024 * 1024));
    },
    async leave() {
      connections.stop();
      streams.stop();
      await node.stop();
    },
  };
  await until(
    () => 'the daemon speaks the protocols of the swarm',
    () => parts.peers.has(peerId),
  );
  await hostile.push(author.join);
  await until(
    () => 'it is a member',
    async () => (await daemon.client.call('swarm_info')).members.some(({ fingerprint }) => fingerprint === author.identity.fingerprint),
  );
  return hostile;
}
