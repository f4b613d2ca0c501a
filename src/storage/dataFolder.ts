import { closeSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Where everything of one node lies. All paths are absolute if `path` is. */
export interface DataFolder {
  readonly path: string;
  /** Seeds of the node's keys, 0600. */
  readonly identity: string;
  readonly lock: string;
  /** SQLite: the ledger's entries. */
  readonly ledger: string;
  /** SQLite: final blocks with their certificates. */
  readonly blocks: string;
  /** SQLite: small facts of this node alone. */
  readonly node: string;
  /** Folder of content by root. */
  readonly blobs: string;
  /** The same for what only this node names: what it is owed, and its own updates. */
  readonly own: string;
  /** The same for what only the process that runs now wants. */
  readonly scratch: string;
  /** Peers met before. */
  readonly peers: string;
  /** The genesis of the swarm this folder belongs to; absent until one is founded or joined. */
  readonly genesis: string;
  /** There from the founding of a swarm here until its first block is final: without it no founder begins alone. */
  readonly founding: string;
  /** Where a repair moves what it replaces: one folder a repair. */
  readonly damaged: string;
}

/** Makes the folder (0700, with its parents) if it is missing, and names what lies in it. */
export function prepareDataFolder(path: string): DataFolder {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  return dataFolderAt(path);
}

/** Names what lies in a data folder, and makes nothing. */
export function dataFolderAt(path: string): DataFolder {
  return {
    path,
    identity: join(path, 'identity.json'),
    lock: join(path, 'lock.db'),
    ledger: join(path, 'ledger.db'),
    blocks: join(path, 'blocks.db'),
    node: join(path, 'node.db'),
    blobs: join(path, 'blobs'),
    own: join(path, 'own'),
    scratch: join(path, 'scratch'),
    peers: join(path, 'peers.json'),
    genesis: join(path, 'genesis.cbor'),
    founding: join(path, 'founding'),
    damaged: join(path, 'damaged'),
  };
}

/**
 * Replaces a file as a whole: readers, and whoever looks after a crash, find the old bytes or the new ones.
 * Durable when it returns. `mode` is that of the new file.
 */
export function writeFileAtomic(path: string, content: Uint8Array | string, mode = 0o600): void {
  const temporary = `${path}.${process.pid}.tmp`;
  rmSync(temporary, { force: true }); // a leftover would keep its own mode
  writeFileDurably(temporary, content, mode);
  renameSync(temporary, path);
  syncFolder(dirname(path));
}

/**
 * Creates `path` (it must not exist) and syncs its content; the name itself needs `syncFolder`. Leaves nothing behind when
 * it throws.
 */
export function writeFileDurably(path: string, content: Uint8Array | string, mode: number): void {
  const bytes = typeof content === 'string' ? Buffer.from(content, 'utf8') : content;
  const file = openSync(path, 'wx', mode);
  try {
    for (let at = 0; at < bytes.byteLength; ) at += writeSync(file, bytes, at);
    fsyncSync(file);
  } catch (e) {
    rmSync(path, { force: true });
    throw e;
  } finally {
    closeSync(file);
  }
}

/** Makes names created, renamed or removed in a folder durable. */
export function syncFolder(path: string): void {
  const folder = openSync(path, 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
