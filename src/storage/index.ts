export { type FileBlobStore, openBlobStore } from './blobStore.ts';
export { type DataFolder, prepareDataFolder, writeFileAtomic } from './dataFolder.ts';
export { openLedger } from './entryStore.ts';
export { loadOrCreateIdentity, loadOrCreateSeeds } from './keystore.ts';
export { type DataLock, lockDataFolder } from './lock.ts';
export { openNodeStore } from './nodeStore.ts';
export { type KnownPeer, openPeerBook, type PeerBook } from './peerBook.ts';
