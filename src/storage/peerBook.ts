import { readFileSync } from 'node:fs';
import { type PeerId, StarlingError } from '../spec/index.ts';
import { writeFileAtomic } from './dataFolder.ts';

/** A peer met before; addresses are multiaddrs. */
export interface KnownPeer {
  readonly peerId: PeerId;
  readonly addresses: readonly string[];
}

/** The peers a node dials again when it starts. */
export interface PeerBook {
  load(): readonly KnownPeer[];
  /** Replaces the whole list; durable when it returns. */
  save(peers: readonly KnownPeer[]): void;
}

/** A peer book in one JSON file. `load` throws DATA_CORRUPT when the file is not one. */
export function openPeerBook(path: string): PeerBook {
  return {
    load() {
      const text = readIfThere(path);
      if (text === undefined) return [];
      try {
        const value: unknown = JSON.parse(text);
        if (Array.isArray(value) && value.every(isKnownPeer)) return value;
      } catch {
        // the same answer as for a wrong shape
      }
      throw new StarlingError('DATA_CORRUPT', `${path} is not a list of peers`, {
        field: path,
        fix: 'remove it: peers are found again through --bootstrap',
      });
    },
    save(peers) {
      const list = peers.map(({ peerId, addresses }) => ({ peerId, addresses }));
      writeFileAtomic(path, `${JSON.stringify(list, undefined, 1)}\n`);
    },
  };
}

function isKnownPeer(value: unknown): value is KnownPeer {
  if (typeof value !== 'object' || value === null || !('peerId' in value) || !('addresses' in value)) return false;
  return typeof value.peerId === 'string' && Array.isArray(value.addresses) && value.addresses.every((a) => typeof a === 'string');
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (e) {
    if ((e as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw e;
  }
}
