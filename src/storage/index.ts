export { openBlobStore } from './blobStore.ts';
export { openBlocks } from './blockStore.ts';
export { type DataFolder, dataFolderAt, prepareDataFolder, writeFileAtomic } from './dataFolder.ts';
export { openLedger } from './entryStore.ts';
export { loadOrCreateIdentity, loadOrCreateSeeds } from './keystore.ts';
export { lockDataFolder } from './lock.ts';
export { openNodeStore } from './nodeStore.ts';
export { openPeerBook } from './peerBook.ts';
