import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { contentOf, EMPTY_ROOT, identityFromSeeds, sha256, toHex, utf8, verifyChunk } from '../../../src/crypto/index.ts';
import { CHUNK_BYTES, StarlingError } from '../../../src/spec/index.ts';
import {
  loadOrCreateIdentity,
  lockDataFolder,
  openBlobStore,
  openPeerBook,
  openScratch,
  prepareDataFolder,
  writeFileAtomic,
} from '../../../src/storage/index.ts';
import { onFullFolder } from '../../support/faultyStore.ts';

const code = (expected: string) => (e: unknown) => e instanceof StarlingError && e.code === expected && e.facts.fix !== undefined;
const modeOf = (path: string): number => statSync(path).mode & 0o777;

describe('storage in files', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'starling-files-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  describe('blobStore', () => {
    const content = Buffer.alloc(2 * CHUNK_BYTES + 5, 'content');
    const { root, leaves } = contentOf(content);
    const fileOf = (r: string): string => join(folder, 'blobs', r.slice(0, 2), r);
    const open = () => openBlobStore(join(folder, 'blobs'));
    /** The content up to the last of these places, cut at the others. */
    const partsOf = async function* (ends: readonly number[]): AsyncGenerator<Uint8Array> {
      for (const [i, end] of ends.entries()) yield content.subarray(ends[i - 1] ?? 0, end);
    };

    it('keeps content under its root, over a restart', async () => {
      assert.equal(await open().put(content), root);
      const store = open();
      assert.equal(await store.put(content), root);
      assert.ok(content.equals((await store.get(root)) as Uint8Array));
      assert.deepEqual([await store.has(root), await store.has(toHex(EMPTY_ROOT))], [true, false]);
      await store.delete(root);
      await store.delete(root);
      assert.deepEqual([await store.has(root), await store.get(root)], [false, undefined]);
      assert.deepEqual(readdirSync(join(folder, 'blobs', 'unfinished')), []);
    });

    it('keeps content that comes in parts, and nothing of what breaks off', async () => {
      const store = open();
      assert.deepEqual(await store.putParts(partsOf([7, CHUNK_BYTES, content.length])), { root, sizeBytes: content.length, leaves });
      assert.ok(content.equals((await open().get(root)) as Uint8Array));
      const brokenOff = async function* (): AsyncGenerator<Uint8Array> {
        yield* partsOf([7]);
        throw new Error('broken off');
      };
      await assert.rejects(store.putParts(brokenOff()), /broken off/);
      await assert.rejects(
        onFullFolder(() => store.putParts(partsOf([9]))),
        code('DISK_FULL'),
      );
      assert.deepEqual(readdirSync(join(folder, 'blobs', 'unfinished')), []);
      assert.equal(await store.has(contentOf(content.subarray(0, 7)).root), false);
    });

    it('as scratch is empty at each start', async () => {
      const path = join(folder, 'scratch');
      const store = openScratch(path);
      await store.putParts(partsOf([content.length]));
      assert.ok(content.equals((await store.get(root)) as Uint8Array));
      assert.equal(await openScratch(path).has(root), false);
    });

    it('keeps nothing, too', async () => {
      const store = open();
      assert.equal(await store.put(new Uint8Array()), toHex(EMPTY_ROOT));
      assert.equal((await store.get(toHex(EMPTY_ROOT)))?.byteLength, 0);
      assert.deepEqual((await store.index(toHex(EMPTY_ROOT)))?.leaves, []);
    });

    it('serves chunks that verify against the leaves, and none beyond', async () => {
      const store = open();
      await store.put(content);
      assert.deepEqual(await store.index(root), { root, sizeBytes: content.length, leaves });
      for (let i = 0; i < 3; i++) assert.ok(verifyChunk(leaves, i, (await store.readChunk(root, i)) as Uint8Array));
      for (const i of [3, -1, 0.5]) assert.equal(await store.readChunk(root, i), undefined);
      assert.equal(await store.readChunk(toHex(EMPTY_ROOT), 0), undefined);
      assert.equal(await store.index(toHex(EMPTY_ROOT)), undefined);
    });

    for (const read of ['get', 'index'] as const) {
      it(`removes what rotted and says so once (${read})`, async () => {
        const store = open();
        await store.put(content);
        const rotten = Buffer.from(content);
        rotten[CHUNK_BYTES + 1] = 0;
        writeFileSync(fileOf(root), rotten);
        await assert.rejects(store[read](root), code('DATA_CORRUPT'));
        assert.equal(await store[read](root), undefined);
        await store.put(content);
        assert.ok(content.equals((await store.get(root)) as Uint8Array));
      });
    }

    it('heals a file of another length when the content is put again', async () => {
      const store = open();
      await store.put(content);
      writeFileSync(fileOf(root), content.subarray(1));
      await store.put(content);
      assert.ok(content.equals((await store.get(root)) as Uint8Array));
    });

    it('says DISK_FULL when it is, keeps nothing of the file, and takes it when there is space again', async () => {
      const store = open();
      await assert.rejects(
        onFullFolder(() => store.put(content)),
        code('DISK_FULL'),
      );
      assert.deepEqual(readdirSync(join(folder, 'blobs', 'unfinished')), []);
      assert.equal(await store.has(root), false);
      assert.equal(await store.put(content), root);
    });

    it('puts the same content many times at once', async () => {
      const store = open();
      assert.deepEqual(new Set(await Promise.all(Array.from({ length: 8 }, () => store.put(content)))), new Set([root]));
      assert.ok(content.equals((await store.get(root)) as Uint8Array));
    });

    it('sweeps away what a dead process left unfinished', () => {
      open();
      writeFileSync(join(folder, 'blobs', 'unfinished', `${root}.0`), 'half');
      open();
      assert.deepEqual(readdirSync(join(folder, 'blobs', 'unfinished')), []);
    });

    it('takes no path for a root', async () => {
      for (const path of ['../../etc/passwd', root.toUpperCase(), '', `${root}/`]) {
        await assert.rejects(open().get(path), (e: unknown) => e instanceof StarlingError && e.code === 'MALFORMED');
        await assert.rejects(open().readChunk(path, 0), (e: unknown) => e instanceof StarlingError && e.code === 'MALFORMED');
      }
    });
  });

  describe('keystore', () => {
    const path = (): string => join(folder, 'identity.json');
    const seeded = (label: string) => {
      let calls = 0;
      return (length: number): Uint8Array => sha256(utf8(`${label} ${calls++}`)).subarray(0, length);
    };
    const never = (): never => assert.fail('asked for entropy');

    it('makes an identity once, from the entropy given, readable by its owner alone', () => {
      const made = loadOrCreateIdentity(path(), seeded('x'));
      const seeds = { mldsaSeed: sha256(utf8('x 0')), ed25519Seed: sha256(utf8('x 1')) };
      assert.equal(made.fingerprint, identityFromSeeds(seeds).fingerprint);
      assert.equal(loadOrCreateIdentity(path(), never).peerId, made.peerId);
      assert.equal(modeOf(path()), 0o600);
      assert.deepEqual(readdirSync(folder), ['identity.json']);
      assert.deepEqual(JSON.parse(readFileSync(path(), 'utf8')), {
        v: 1,
        mldsaSeed: toHex(seeds.mldsaSeed),
        ed25519Seed: toHex(seeds.ed25519Seed),
      });
    });

    it('takes the identity of whoever was first, when two create it at once', () => {
      let other = '';
      const mine = loadOrCreateIdentity(path(), (length) => {
        // The second process comes and goes while this one draws its seeds.
        if (other === '') other = loadOrCreateIdentity(path(), seeded('other')).fingerprint;
        return seeded('mine')(length);
      });
      assert.equal(mine.fingerprint, other);
    });

    it('refuses a file that others may read, and tells how to mend it', () => {
      loadOrCreateIdentity(path(), seeded('x'));
      for (const mode of [0o640, 0o604, 0o620]) {
        chmodSync(path(), mode);
        assert.throws(
          () => loadOrCreateIdentity(path(), never),
          (e: unknown) => code('DATA_CORRUPT')(e) && String((e as StarlingError).facts.fix).includes('chmod 600'),
        );
      }
      chmodSync(path(), 0o400);
      assert.ok(loadOrCreateIdentity(path(), never));
    });

    it('refuses what is no keystore instead of replacing it', () => {
      const seed = 'ab'.repeat(32);
      for (const text of [
        '',
        '{',
        '[]',
        'null',
        JSON.stringify({ v: 1, mldsaSeed: seed }),
        JSON.stringify({ v: 2, mldsaSeed: seed, ed25519Seed: seed }),
        JSON.stringify({ v: 1, mldsaSeed: seed, ed25519Seed: seed.slice(2) }),
        JSON.stringify({ v: 1, mldsaSeed: seed, ed25519Seed: seed, more: 1 }),
      ]) {
        writeFileSync(path(), text, { mode: 0o600 });
        assert.throws(() => loadOrCreateIdentity(path(), never), code('DATA_CORRUPT'), text);
        assert.equal(readFileSync(path(), 'utf8'), text);
      }
    });
  });

  describe('lock', () => {
    const path = (): string => join(folder, 'lock.db');
    const holds = (pid: number) => (e: unknown) => code('DATA_IN_USE')(e) && (e as StarlingError).facts.pid === pid;

    it('is held by one at a time, and names the holder', () => {
      const lock = lockDataFolder(path());
      assert.throws(() => lockDataFolder(path()), holds(process.pid));
      lock.release();
      lock.release();
      assert.ok(!existsSync(`${path()}.pid`));
      using again = lockDataFolder(path());
      assert.ok(again);
    });

    it('is free as soon as its process is dead, whatever that left behind', async () => {
      const module = join(import.meta.dirname, '../../../src/storage/lock.ts');
      const script = `import { lockDataFolder } from ${JSON.stringify(module)};
        lockDataFolder(${JSON.stringify(path())}); await new Promise(setImmediate); gc();
        process.stdout.write('held'); setInterval(() => {}, 1000);`;
      const child = spawn(process.execPath, ['--expose-gc', '--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
      try {
        await once(child.stdout, 'data');
        assert.throws(() => lockDataFolder(path()), holds(child.pid as number));
      } finally {
        const exited = once(child, 'exit');
        child.kill('SIGKILL');
        await exited;
      }
      assert.ok(existsSync(`${path()}.pid`), 'the dead process left its pid');
      using lock = lockDataFolder(path());
      assert.equal(Number(readFileSync(`${path()}.pid`, 'utf8')), process.pid);
      assert.ok(lock);
    });
  });

  describe('dataFolder', () => {
    it('is made for its owner alone, with its parents, and found again', () => {
      const path = join(folder, 'deep', 'data');
      const made = prepareDataFolder(path);
      assert.equal(modeOf(path), 0o700);
      assert.deepEqual(prepareDataFolder(path), made);
      for (const [name, at] of Object.entries(made)) assert.ok(name === 'path' || at.startsWith(`${path}/`));
    });

    it('replaces a file as a whole, with the mode asked for', () => {
      const path = join(folder, 'file');
      writeFileAtomic(path, 'one', 0o644);
      writeFileSync(`${path}.${process.pid}.tmp`, 'left behind', { mode: 0o666 });
      writeFileAtomic(path, utf8('two'));
      assert.equal(readFileSync(path, 'utf8'), 'two');
      assert.equal(modeOf(path), 0o600);
      assert.deepEqual(readdirSync(folder), ['file']);
    });
  });

  describe('peerBook', () => {
    const peers = [{ peerId: '12D3KooWx', addresses: ['/ip4/10.0.0.1/tcp/7740', '/ip4/10.0.0.1/udp/7740/quic-v1'] }];
    const path = (): string => join(folder, 'peers.json');

    it('is empty at first, then what was saved last', () => {
      assert.deepEqual(openPeerBook(path()).load(), []);
      openPeerBook(path()).save([{ peerId: 'old', addresses: [] }]);
      openPeerBook(path()).save(peers);
      assert.deepEqual(openPeerBook(path()).load(), peers);
    });

    it('says DATA_CORRUPT for anything else', () => {
      for (const text of ['', '{}', '[1]', '[{"peerId":1,"addresses":[]}]', '[{"peerId":"a","addresses":[1]}]', '[{"peerId":"a"}]']) {
        writeFileSync(path(), text);
        assert.throws(() => openPeerBook(path()).load(), code('DATA_CORRUPT'), text);
      }
    });
  });
});
