import type { GossipSub } from '@libp2p/gossipsub';
import type { Identify } from '@libp2p/identify';
import type { KadDHT } from '@libp2p/kad-dht';
import type { Libp2p, Libp2pOptions } from 'libp2p';

/** The libp2p services that this room uses. */
export type Services = { identify: Identify; dht: KadDHT; gossip: GossipSub };

/** libp2p's types, derived from its one entry point: its interface package is not a dependency of ours. */
export type Node = Libp2p<Services>;
export type NodeOptions = Libp2pOptions<Services>;
export type Connection = ReturnType<Node['getConnections']>[number];
export type RemotePeer = Connection['remotePeer'];
export type Stream = Awaited<ReturnType<Connection['newStream']>>;
export type Transport = NonNullable<Libp2pOptions['transports']>[number];
export type Metrics = ReturnType<NonNullable<Libp2pOptions['metrics']>>;
export type MuxerMaker = NonNullable<Libp2pOptions['streamMuxers']>[number];
