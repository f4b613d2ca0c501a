export { type FetchedGenesis, type FetchOptions, fetchGenesis, type GenesisSource } from './genesis.ts';
export { createHost, type Host, type HostComponents, type HostInit } from './host.ts';
export { peerIdOf } from './identity.ts';
export type { KnownPeer, PeerBook } from './peerBook.ts';
export type { PeerInfo, PeerSource } from './peerTable.ts';
export type { Traffic } from './traffic.ts';
