import assert from 'node:assert/strict';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { COMPOSITE_SIGNATURE_BYTES, sha256, utf8 } from '../../../src/crypto/index.ts';
import { type AnyEntryCore, MIB, type SignedEntry, StarlingError } from '../../../src/spec/index.ts';
import { openBlocks, openLedger, openNodeStore } from '../../../src/storage/index.ts';
import { lasting, openSqlite } from '../../../src/storage/sqlite.ts';
import { type BlockRecord, encodeCore, entryId, makeBlock } from '../../../src/wire/index.ts';

const zero = '0'.repeat(64);
const code = (expected: string) => (e: unknown) => e instanceof StarlingError && e.code === expected && e.facts.fix !== undefined;

function entry(seq: number, composite = false): SignedEntry {
  const core: AnyEntryCore = {
    v: 1,
    swarm: zero,
    author: zero,
    seq,
    prev: seq === 0 ? null : zero,
    lam: seq + 1,
    epochSeen: 0,
    anchorBlock: zero,
    kind: 'contribution',
    deps: [],
    body: {
      epoch: seq,
      updateHash: zero,
      sizeBytes: 2,
      samples: 1,
      maxAbs: [seq],
      metrics: { loss: 0.5 },
      commitment: null,
      staleness: 0,
      links: [],
    },
  };
  const coreBytes = Uint8Array.from(encodeCore(core));
  const signature = new Uint8Array(64).fill(seq);
  const bare = { id: entryId(coreBytes), core, coreBytes, signature };
  return composite ? { ...bare, composite: new Uint8Array(COMPOSITE_SIGNATURE_BYTES).fill(7) } : bare;
}

/** A block and a certificate by their form alone. */
function block(epoch: number): BlockRecord {
  const header = { treeRoot: zero, survivorsHash: zero, aggregateHash: zero, modelRoot: zero, stateRoot: zero };
  const votes = { prev: zero, votersHash: zero, nextVotersHash: zero };
  const made = makeBlock(
    { v: 1, swarm: zero, epoch, treeSize: epoch, timeMs: epoch, ...header, ...votes },
    { tips: [], roster: [], weights: [], evidence: [], dropped: [] },
  );
  const signature = new Uint8Array(64).fill(epoch);
  return { block: made, certificate: { epoch, round: 0, step: 'precommit', block: made.hash, votes: [{ voter: zero, signature }] } };
}

describe('storage on SQLite', () => {
  let folder: string;
  let path: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'starling-storage-'));
    path = join(folder, 'ledger.db');
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  describe('entryStore', () => {
    it('gives entries back as they were, in the order of appending, after it is opened again', () => {
      const entries = [entry(3), entry(0, true), entry(2), entry(1)];
      {
        using store = openLedger(path);
        assert.equal(store.append(entries.slice(0, 3)), 3);
        assert.equal(store.append(entries.slice(3)), 1);
        assert.equal(store.append([]), 0);
      }
      using store = openLedger(path);
      assert.deepEqual([...store.all()], entries);
      assert.equal(store.size(), 4);
      assert.deepEqual(store.get((entries[1] as SignedEntry).id), entries[1]);
      assert.equal(store.get(zero), undefined);
      assert.deepEqual([store.has((entries[2] as SignedEntry).id), store.has(zero)], [true, false]);
    });

    it('takes a batch as a whole or not at all', () => {
      using store = openLedger(path);
      store.append([entry(0)]);
      const broken = { ...entry(2), signature: undefined as unknown as Uint8Array };
      assert.throws(() => store.append([entry(1), broken]));
      assert.deepEqual([store.size(), store.has(entry(1).id)], [1, false]);
      assert.equal(store.append([entry(1)]), 1);
    });

    it('writes a log and syncs it at every commit', () => {
      using db = openSqlite(path, { applicationId: 1, version: 1, schema: 'CREATE TABLE t (x INTEGER) STRICT;' });
      assert.equal(db.prepare('PRAGMA journal_mode').get()?.journal_mode, 'wal');
      assert.equal(db.prepare('PRAGMA synchronous').get()?.synchronous, 2, 'FULL: power may go as soon as an append returned');
    });

    it('does not sync what need not be durable yet, and syncs again after it, also where it failed', () => {
      using db = openSqlite(path, { applicationId: 1, version: 1, schema: 'CREATE TABLE t (x INTEGER) STRICT;' });
      const level = () => db.prepare('PRAGMA synchronous').get()?.synchronous;
      assert.deepEqual([lasting(db, 'soon', level), level()], [1, 2], 'NORMAL within, FULL after');
      assert.deepEqual([lasting(db, 'now', level), level()], [2, 2]);
      assert.throws(() => lasting(db, 'soon', () => db.exec('INSERT INTO nowhere VALUES (1)')));
      assert.equal(level(), 2);
    });

    it('holds at once what is durable soon, and makes it durable when asked', () => {
      {
        using store = openLedger(path);
        store.flush();
        assert.equal(store.append([entry(0)], 'soon'), 1);
        using other = new DatabaseSync(path);
        assert.equal(other.prepare('SELECT count(*) AS n FROM entry').get()?.n, 1, 'a process that dies now loses nothing');
        store.flush();
      }
      using store = openLedger(path);
      store.flush();
      assert.deepEqual([...store.all()], [entry(0)]);
    });

    it('says DATA_CORRUPT for a file that is no ledger, one of a later layout, and one cut short', () => {
      writeFileSync(path, 'this is not a database, but it is long enough to be read as one'.repeat(100));
      assert.throws(() => openLedger(path), code('DATA_CORRUPT'));
      rmSync(path);
      openLedger(path).close();
      using db = new DatabaseSync(path);
      db.exec('PRAGMA user_version = 99');
      assert.throws(() => openLedger(path), code('DATA_CORRUPT'));
      truncateSync(path, 5_000);
      assert.throws(() => openLedger(path), code('DATA_CORRUPT'));
    });

    it('says DATA_CORRUPT when an entry or a page has rotted', () => {
      {
        using store = openLedger(path);
        store.append(Array.from({ length: 200 }, (_, i) => entry(i)));
      }
      const victim = entry(150);
      const bytes = readFileSync(path);
      const at = bytes.indexOf(victim.coreBytes);
      assert.ok(at > 0);
      overwrite(path, at + 40, Uint8Array.of((bytes[at + 40] as number) ^ 1));
      {
        using store = openLedger(path);
        assert.throws(() => store.get(victim.id), code('DATA_CORRUPT'));
        assert.throws(() => [...store.all()], code('DATA_CORRUPT'));
        assert.deepEqual(store.get(entry(5).id), entry(5));
      }
      for (let page = 2; page * 4096 < bytes.length; page++) overwrite(path, page * 4096, new Uint8Array(64).fill(0xee));
      using store = openLedger(path);
      assert.throws(() => [...store.all()], code('DATA_CORRUPT'));
    });

    it('waits for nobody for ever: a lock of another process is DATA_IN_USE', () => {
      using store = openLedger(path);
      using other = new DatabaseSync(path);
      other.exec('BEGIN IMMEDIATE');
      assert.throws(() => store.append([entry(0)]), code('DATA_IN_USE'));
      other.exec('ROLLBACK');
      assert.equal(store.append([entry(0)]), 1);
    });
  });

  describe('pruning', () => {
    it('gives the space back: a ledger of which the old goes as the new comes does not grow', () => {
      using store = openLedger(path);
      using db = new DatabaseSync(path);
      const pages = (): number => Number(db.prepare('PRAGMA page_count').get()?.page_count);
      const batch = (from: number) => Array.from({ length: 60 }, (_, i) => entry(from + i, true));
      const round = (n: number): void => {
        store.append(batch(60 * n));
        if (n > 0) assert.equal(store.drop(batch(60 * (n - 1)).map(({ id }) => id)), 60);
      };
      for (let n = 0; n < 3; n++) round(n);
      const filled = pages();
      for (let n = 3; n < 12; n++) round(n);
      assert.ok(pages() <= 1.1 * filled, `${pages()} pages, ${filled} when it was full`);
    });

    it('drops all or nothing', () => {
      using store = openLedger(path);
      store.append([entry(0), entry(1)]);
      assert.throws(() => store.drop([entry(0).id, 'no id']));
      assert.equal(store.size(), 2);
    });

    it('says DATA_CORRUPT where a signature is gone that nobody dropped', () => {
      using store = openLedger(path);
      store.append([entry(0, true)]);
      using db = new DatabaseSync(path);
      db.exec('UPDATE entry SET composite = NULL');
      assert.throws(() => store.get(entry(0).id), code('DATA_CORRUPT'));
    });
  });

  describe('blockStore', () => {
    it('keeps blocks one an epoch, in their order, over a restart', () => {
      {
        using store = openBlocks(path);
        assert.deepEqual([store.head(), store.get(1)], [0, undefined]);
        assert.throws(() => store.append(block(2)), code('EPOCH_REGRESSION'));
        for (const epoch of [1, 2, 3]) store.append(block(epoch));
        for (const epoch of [1, 3, 5]) assert.throws(() => store.append(block(epoch)), code('EPOCH_REGRESSION'));
      }
      using store = openBlocks(path);
      assert.equal(store.head(), 3);
      assert.deepEqual([1, 2, 3, 4].map(store.get), [block(1), block(2), block(3), undefined]);
    });

    it('says DATA_CORRUPT for a block in the place of another, and for any changed byte', () => {
      using store = openBlocks(path);
      for (const epoch of [1, 2]) store.append(block(epoch));
      using db = new DatabaseSync(path);
      const original = db.prepare('SELECT record FROM block WHERE epoch = 1').get()?.record as Uint8Array;
      const write = db.prepare('UPDATE block SET record = ? WHERE epoch = 1');
      for (let at = 0; at < original.length; at += 7) {
        const changed = Uint8Array.from(original);
        changed[at] = (changed[at] as number) ^ 0x10;
        write.run(changed);
        assert.throws(() => store.get(1), code('DATA_CORRUPT'), `byte ${at}`);
      }
      write.run(original);
      assert.deepEqual(store.get(1), block(1));
      db.exec('UPDATE block SET epoch = 3 WHERE epoch = 1');
      assert.throws(() => store.get(3), code('DATA_CORRUPT'));
    });
  });

  describe('nodeStore', () => {
    it('says DATA_CORRUPT for a fact that is not as it was written', () => {
      using store = openNodeStore(path);
      store.set('votes', sha256(utf8('prevote')));
      using db = new DatabaseSync(path);
      db.prepare('UPDATE fact SET value = ?').run(sha256(utf8('precommit')));
      assert.throws(() => store.get('votes'), code('DATA_CORRUPT'));
    });

    it('keeps facts over a restart', () => {
      const bytes = sha256(utf8('residual'));
      {
        using store = openNodeStore(path);
        store.set('residual', utf8('first'));
        store.set('residual', bytes);
        store.set('gone', bytes);
        store.set('empty', new Uint8Array());
        store.delete('gone');
        store.delete('never there');
      }
      using store = openNodeStore(path);
      assert.deepEqual(store.get('residual'), bytes);
      assert.deepEqual(store.get('empty'), new Uint8Array());
      assert.equal(store.get('gone'), undefined);
    });

    it('takes no longer for a small fact because a large one is beside it', () => {
      using store = openNodeStore(path);
      store.set('residual', new Uint8Array(16 * MIB));
      store.set('votes', sha256(utf8('prevote')));
      const bestMs = (run: () => unknown): number =>
        Math.min(
          ...[1, 2, 3, 4, 5].map(() => {
            const sinceMs = performance.now();
            run();
            return performance.now() - sinceMs;
          }),
        );
      const largeMs = bestMs(() => store.get('residual'));
      assert.ok(bestMs(() => store.get('votes')) < largeMs / 10);
    });
  });

  it('lists the facts under a prefix, and no others', () => {
    using store = openNodeStore(path);
    for (const key of ['aggregate/b', 'aggregate', 'aggregate/a', 'aggregate0', 'votes', 'aggregate/a/c']) store.set(key, new Uint8Array());
    assert.deepEqual(store.keys('aggregate/'), ['aggregate/a', 'aggregate/a/c', 'aggregate/b']);
    assert.deepEqual(store.keys('nothing'), []);
    assert.equal(store.keys('').length, 6);
  });

  it('knows its own file from another store', () => {
    openNodeStore(path).close();
    assert.throws(() => openLedger(path), code('DATA_CORRUPT'));
  });
});

function overwrite(path: string, position: number, bytes: Uint8Array): void {
  const file = openSync(path, 'r+');
  writeSync(file, bytes, 0, bytes.length, position);
  closeSync(file);
}
