/**
 * Holds a data folder and appends to its ledger and blobs as fast as it can, until it is killed. Prints one line for
 * each thing after the store said that it is durable: `entry <id>` or `blob <root>`.
 */
import { createHash, randomInt } from 'node:crypto';
import { writeSync } from 'node:fs';
import { identityFromSeeds } from '../../src/crypto/index.ts';
import { LedgerGraph, lamportAfter } from '../../src/ledger/index.ts';
import type { AnyEntryCore, SignedEntry } from '../../src/spec/index.ts';
import { lockDataFolder, openBlobStore, openLedger, prepareDataFolder } from '../../src/storage/index.ts';
import { encodeCore, entryBytes, entryId, makeCertificate } from '../../src/wire/index.ts';

const hash = (text: string): Buffer => createHash('sha256').update(text).digest();
const identity = identityFromSeeds({ mldsaSeed: hash('mldsa'), ed25519Seed: hash('ed25519') });
const say = (what: 'entry' | 'blob', id: string): number => writeSync(1, `${what} ${id}\n`);

const folder = prepareDataFolder(process.argv[2] as string);
lockDataFolder(folder.lock);
const ledger = openLedger(folder.ledger);
const blobs = openBlobStore(folder.blobs);
const graph = new LedgerGraph();
for (const entry of ledger.all()) graph.add(entry);

function write(prev: SignedEntry | undefined): SignedEntry {
  const zero = '0'.repeat(64);
  const place = {
    seq: prev === undefined ? 0 : prev.core.seq + 1,
    prev: prev?.id ?? null,
    lam: lamportAfter(prev === undefined ? [] : [prev]),
  };
  const common = { v: 1, swarm: zero, author: identity.fingerprint, ...place, epochSeen: 0, anchorBlock: zero, deps: [] } as const;
  const core: AnyEntryCore =
    prev === undefined
      ? { ...common, kind: 'join', body: { certificate: makeCertificate(identity, 'core', []), invite: null } }
      : { ...common, kind: 'decision', body: { epoch: place.seq, prev: zero, roster: [], weights: [], aggregateHash: zero } };
  const coreBytes = encodeCore(core);
  return { id: entryId(coreBytes), core, coreBytes, signature: identity.signEd25519(entryBytes(coreBytes)) };
}

let tip = graph.get(graph.heads(identity.fingerprint)[0] ?? '');
for (;;) {
  // One at a time, as a node writes its own; and many at once, as sync brings them.
  const batch: SignedEntry[] = [];
  for (let n = randomInt(2) === 0 ? 1 : randomInt(1, 200); n > 0; n--) {
    tip = write(tip);
    batch.push(tip);
  }
  ledger.append(batch);
  for (const { id } of batch) say('entry', id);
  if (randomInt(4) === 0) say('blob', await blobs.put(Buffer.alloc(randomInt(600_000), `${tip?.id}`)));
}
