import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSwarm } from '../../src/node/create.ts';
import { initialise } from '../../src/node/initialise.ts';
import {
  type DataFolder,
  dataFolderAt,
  loadOrCreateIdentity,
  openBlobStore,
  openBlocks,
  openLedger,
  openNodeStore,
  openPeerBook,
} from '../../src/storage/index.ts';
import { decodeGenesis, swarmIdOf } from '../../src/wire/index.ts';
import { type Founder, LedgerWriter, type Stores, TINY_SWARM } from './ledgerWriter.ts';

/** The real stores of a data folder, until they are disposed of. */
export type OpenStores = Stores & { readonly entries: ReturnType<typeof openLedger> } & Disposable;

export function openStores(folder: DataFolder): OpenStores {
  const entries = openLedger(folder.ledger);
  const blocks = openBlocks(folder.blocks);
  const store = openNodeStore(folder.node);
  const close = (): void => {
    for (const one of [entries, blocks, store]) one.close();
  };
  return { entries, blocks, store, blobs: openBlobStore(folder.blobs), [Symbol.dispose]: close };
}

/** A founder's folder as `init` and `swarm create` leave it. */
export async function foundFolder(path: string): Promise<Founder> {
  await createSwarm(path, TINY_SWARM);
  initialise(path);
  return founderOf(dataFolderAt(path));
}

export function founderOf(folder: DataFolder): Founder {
  const bytes = new Uint8Array(readFileSync(folder.genesis));
  const identity = loadOrCreateIdentity(folder.identity, (length) => new Uint8Array(randomBytes(length)));
  return { genesis: decodeGenesis(bytes), swarm: swarmIdOf(bytes), identity };
}

async function write(founder: Founder, stores: Stores): Promise<LedgerWriter> {
  const writer = await LedgerWriter.open(founder, stores);
  for (const count of [2, 5, 1]) {
    writer.append(count);
    await writer.finalise(Buffer.alloc(300_000, writer.epoch));
  }
  return writer;
}

/** The same with the first two blocks and their seven entries archived in as many segments, and three blocks more. */
export async function furnishPruned(path: string): Promise<void> {
  const founder = await foundFolder(path);
  using stores = openStores(dataFolderAt(path));
  const writer = await write(founder, stores);
  for (const epoch of [1, 2]) writer.archive(epoch);
  for (const count of [2, 3, 1]) {
    writer.append(count);
    await writer.finalise(Buffer.alloc(20_000, writer.epoch));
  }
}

/** Eight entries, three blocks over them (the first one with an aggregate), a vote and a peer: one of everything that can rot. */
export async function furnish(path: string): Promise<void> {
  const founder = await foundFolder(path);
  const folder = dataFolderAt(path);
  using stores = openStores(folder);
  await write(founder, stores);
  stores.store.set('votes', Buffer.alloc(5_000, 'a vote'));
  openPeerBook(folder.peers).save([{ peerId: '12D3KooWx', addresses: ['/ip4/127.0.0.1/tcp/7740'] }]);
}
