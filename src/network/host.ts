import type { Clock, Gossip, Journal, Streams } from '../epoch/ports.ts';
import { asStarlingError, type PeerId, StarlingError, type SwarmId } from '../spec/index.ts';
import { parseAddress } from './address.ts';
import { Connections } from './connections.ts';
import { Dialler } from './dialler.ts';
import { Discovery } from './discovery.ts';
import { type GenesisSource, serveGenesis } from './genesis.ts';
import { LibpGossip } from './gossip.ts';
import { hostKey } from './identity.ts';
import { STOP_MS } from './limits.ts';
import { createNode } from './node.ts';
import { type PeerBook, PeerMemory } from './peerBook.ts';
import { type PeerInfo, PeerTable } from './peerTable.ts';
import { Penalties } from './penalties.ts';
import { LibpStreams } from './streams.ts';
import { type Traffic, TrafficMeter } from './traffic.ts';
import { chooseTransports } from './transports.ts';
import type { Connection, Node } from './types.ts';
import { Uplink } from './uplink.ts';

export interface HostInit {
  /** Raw seed of the node's Ed25519 key, 32 bytes. */
  readonly ed25519Seed: Uint8Array;
  readonly swarmId: SwarmId;
  /** Multiaddrs, e.g. /ip4/0.0.0.0/tcp/7740 and /ip4/0.0.0.0/udp/7740/quic-v1; port 0 takes a free one. */
  readonly listen: readonly string[];
  /** Multiaddrs, with or without /p2p/. */
  readonly bootstrap: readonly string[];
  /** 1,000 bits a second that leave this node at most, on average, over all peers; undefined: no bound. */
  readonly uploadKbit?: number | undefined;
}

export interface HostComponents {
  readonly journal: Journal;
  /** True for names of topics that the swarm may use now. Others are held against their sender; asked only for topics this node is not on. */
  readonly isTopicAllowed: (topic: string) => boolean;
  readonly peerBook: PeerBook;
  /** What newcomers are given. */
  readonly genesis: GenesisSource;
}

export interface Host {
  readonly peerId: PeerId;
  readonly gossip: Gossip;
  readonly streams: Streams;
  /** Listens and begins to dial. Throws PORT_IN_USE or BAD_CONFIG. */
  start(): Promise<void>;
  /** Takes at most about 2 s. */
  stop(): Promise<void>;
  /** Dialable multiaddrs, each with /p2p/; empty before `start`. */
  addresses(): readonly string[];
  /** The swarm's peers that are connected now. */
  peers(): readonly PeerInfo[];
  /** Resolves once the peer there is connected and of this swarm. Throws BAD_USAGE, UNREACHABLE or WRONG_SWARM. */
  dial(address: string): Promise<PeerInfo>;
  traffic(): Traffic;
  /** Streams of all protocols, libp2p's own among them, that are open on all connections. */
  openStreams(): number;
}

/** The network of one node, wired and not yet started. Handlers are set on `gossip` and `streams` before `start`. */
export async function createHost(init: HostInit, components: HostComponents): Promise<Host> {
  for (const address of [...init.listen, ...init.bootstrap]) parseAddress(address);
  const { journal } = components;
  const { privateKey, peerId } = await hostKey(init.ed25519Seed);
  const { transports, listen } = await chooseTransports(init.listen, journal);
  const uplink = init.uploadKbit === undefined ? undefined : new Uplink(init.uploadKbit, hostClock);
  const traffic = new TrafficMeter((bytes) => uplink?.spent(bytes));
  const penalties = new Penalties();
  const node = await createNode({ privateKey, swarmId: init.swarmId, listen, transports, traffic, penalties });

  const peers = new PeerTable();
  const dialler = new Dialler({ node, peers, journal });
  const discovery = new Discovery({ node, peers, dialler, journal });
  const memory = new PeerMemory(components.peerBook, { dialler, peers, journal });
  const connections = new Connections(init.swarmId, { node, peers, journal });
  const gossip = new LibpGossip({ pubsub: node.services.gossip, journal, penalties, isTopicAllowed: components.isTopicAllowed });
  const streams = new LibpStreams(init.swarmId, { node, peers, journal, uplink });
  const views = (): PeerInfo[] => peers.peers().flatMap((peer) => newest(node, peer).map((one) => peers.describe(one)));

  async function stop(): Promise<void> {
    discovery.stop();
    dialler.stop();
    await memory.stop();
    connections.stop();
    gossip.stop();
    streams.stop();
    await Promise.race([node.stop(), afterMs(STOP_MS)]);
  }

  return {
    peerId,
    gossip,
    streams,
    addresses: () => node.getMultiaddrs().map((one) => one.toString()),
    peers: views,
    traffic: () => traffic.total(),
    openStreams: () => node.getConnections().reduce((sum, one) => sum + one.streams.length, 0),

    async start() {
      try {
        await serveGenesis(node, components.genesis, journal, uplink);
        await streams.start();
        connections.start();
        await startNode(node, listen);
      } catch (error) {
        await stop();
        throw error;
      }
      gossip.start();
      dialler.know(init.bootstrap, 'bootstrap');
      await memory.start();
      dialler.start();
    },

    stop,

    async dial(address) {
      parseAddress(address);
      const peer = await dialler.reach(address);
      const view = views().find((one) => one.peerId === peer);
      if (view === undefined)
        throw new StarlingError('UNREACHABLE', `${peer} at ${address} went away`, { peer, phase: 'dial', fix: 'try again' });
      return view;
    },
  };
}

function newest(node: Node, peer: PeerId): Connection[] {
  const open = node.getConnections().filter((one) => one.status === 'open' && one.remotePeer.toString() === peer);
  return open.sort((a, b) => b.timeline.open - a.timeline.open).slice(0, 1);
}

/** Throws PORT_IN_USE naming the address; libp2p reports what each listener said in one text. */
async function startNode(node: Node, listen: readonly string[]): Promise<void> {
  try {
    await node.start();
  } catch (error) {
    const { message } = error as Error;
    if (!/EADDRINUSE|address already in use/i.test(message)) throw asStarlingError(error, { phase: 'listen' });
    const taken = listen.find((address) => message.includes(`${address}:`)) ?? listen.join(', ');
    throw new StarlingError(
      'PORT_IN_USE',
      `${taken} is in use by another program`,
      { field: taken, phase: 'listen', fix: 'stop the other program (another daemon?), or choose another port with --listen' },
      { cause: error },
    );
  }
}

const hostClock: Pick<Clock, 'nowMs' | 'after'> = {
  nowMs: () => performance.now(),
  after(delayMs, run) {
    const timer = setTimeout(run, delayMs).unref();
    return { cancel: () => clearTimeout(timer) };
  },
};

const afterMs = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms).unref());
