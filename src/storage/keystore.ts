import { linkSync, readFileSync, rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { fromHex, type Identity, type IdentitySeeds, identityFromSeeds, toHex } from '../crypto/index.ts';
import { StarlingError } from '../spec/index.ts';
import { syncFolder, writeFileDurably } from './dataFolder.ts';

/** Bytes of a seed (FIPS 204 and RFC 8032 alike). */
const SEED_BYTES = 32;
const SEED = /^[0-9a-f]{64}$/;

/**
 * The identity of a data folder, made on first use: `path` holds the two seeds and nothing else, 0600.
 * `randomBytes` gives the entropy. Of two processes that create it at once, one wins and both return its identity.
 * Throws DATA_CORRUPT when others can read the file or it is not a keystore.
 */
export function loadOrCreateIdentity(path: string, randomBytes: (length: number) => Uint8Array): Identity {
  return identityFromSeeds(loadOrCreateSeeds(path, randomBytes));
}

/** The same, as seeds: libp2p makes its own key object of the Ed25519 one. */
export function loadOrCreateSeeds(path: string, randomBytes: (length: number) => Uint8Array): IdentitySeeds {
  const seeds = loadSeeds(path);
  if (seeds !== undefined) return seeds;
  createSeeds(path, { mldsaSeed: randomBytes(SEED_BYTES), ed25519Seed: randomBytes(SEED_BYTES) });
  return loadSeeds(path) as IdentitySeeds;
}

/** `undefined` when there is none. Throws DATA_CORRUPT as above. */
export function loadSeeds(path: string): IdentitySeeds | undefined {
  const mode = statSync(path, { throwIfNoEntry: false })?.mode;
  if (mode === undefined) return undefined;
  if ((mode & 0o077) !== 0) {
    throw new StarlingError('DATA_CORRUPT', `${path} holds secret keys and others may read it (mode ${(mode & 0o777).toString(8)})`, {
      field: path,
      fix: `chmod 600 ${path}; if others could have read it, move it away to get a new identity`,
    });
  }
  const seeds = parseSeeds(readFileSync(path, 'utf8'));
  if (seeds === undefined) {
    throw new StarlingError('DATA_CORRUPT', `${path} is not a keystore`, {
      field: path,
      fix: 'restore it from a backup; moving it away gives this node a new identity',
    });
  }
  return seeds;
}

function parseSeeds(text: string): IdentitySeeds | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { v, mldsaSeed, ed25519Seed, ...others } = value as Record<string, unknown>;
  if (v !== 1 || Object.keys(others).length > 0) return undefined;
  if (typeof mldsaSeed !== 'string' || !SEED.test(mldsaSeed) || typeof ed25519Seed !== 'string' || !SEED.test(ed25519Seed))
    return undefined;
  return { mldsaSeed: fromHex(mldsaSeed), ed25519Seed: fromHex(ed25519Seed) };
}

/** A whole file or none: written under another name, then linked to its own, which fails when it exists. */
function createSeeds(path: string, seeds: IdentitySeeds): void {
  const temporary = `${path}.${process.pid}.tmp`;
  rmSync(temporary, { force: true });
  const text = JSON.stringify({ v: 1, mldsaSeed: toHex(seeds.mldsaSeed), ed25519Seed: toHex(seeds.ed25519Seed) });
  writeFileDurably(temporary, `${text}\n`, 0o600);
  try {
    linkSync(temporary, path);
  } catch (e) {
    if ((e as NodeJS.ErrnoException).code !== 'EEXIST') throw e;
  } finally {
    rmSync(temporary, { force: true });
  }
  syncFolder(dirname(path));
}
