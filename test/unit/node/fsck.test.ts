import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { VOTES_LOST } from '../../../src/epoch/index.ts';
import { fsck } from '../../../src/node/fsck.ts';
import { type SignedEntry, StarlingError } from '../../../src/spec/index.ts';
import { type DataFolder, dataFolderAt, lockDataFolder } from '../../../src/storage/index.ts';
import { type BlockRecord, makeBlock, signVote } from '../../../src/wire/index.ts';
import { founderOf, foundFolder, furnish, openStores } from '../../support/dataFolder.ts';
import { LedgerWriter } from '../../support/ledgerWriter.ts';

const AT_MS = Date.UTC(2026, 0, 2, 3, 4, 5);
const look = (data: string) => fsck(data, { repair: false, atMs: AT_MS });
const mend = (data: string) => fsck(data, { repair: true, atMs: AT_MS });

function flip(path: string, at: number, bits = 1): void {
  const bytes = readFileSync(path);
  bytes[at] = (bytes[at] as number) ^ bits;
  writeFileSync(path, bytes);
}

/** Flips a bit in the middle of what `needle` finds in the file. */
function flipIn(path: string, needle: Uint8Array): void {
  const at = readFileSync(path).indexOf(needle);
  assert.ok(at >= 0, 'not found');
  flip(path, at + (needle.byteLength >> 1));
}

/** The same inside the index over the ids, which holds them too. */
function flipInIndex(path: string, needle: Uint8Array): void {
  using db = new DatabaseSync(path, { readOnly: true });
  const root = db.prepare("SELECT rootpage FROM sqlite_schema WHERE type = 'index'").get()?.rootpage as number;
  const page = readFileSync(path).subarray((root - 1) * 4096, root * 4096);
  flip(path, (root - 1) * 4096 + page.indexOf(needle) + 3);
}

/** Paths and hashes of everything in a folder. The lock is the examiner's own. */
function fingerprint(folder: string): string[] {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((file) => file.isFile());
  const hashOf = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex');
  // SQLite's readers leave an index and an empty log beside the database.
  const kept = files.filter(({ name }) => !/^lock\.db|-shm$/.test(name));
  return kept
    .map(({ parentPath, name }) => join(parentPath, name))
    .filter((path) => !(path.endsWith('-wal') && statSync(path).size === 0))
    .map((path) => `${path} ${hashOf(path)}`)
    .sort();
}

interface Contents {
  readonly entries: readonly SignedEntry[];
  readonly blocks: readonly BlockRecord[];
  readonly facts: string;
}

function contentsOf(folder: DataFolder): Contents {
  using stores = openStores(folder);
  const blocks = Array.from({ length: stores.blocks.head() }, (_, i) => stores.blocks.get(i + 1) as BlockRecord);
  using db = new DatabaseSync(folder.node);
  return { entries: [...stores.entries.all()], blocks, facts: JSON.stringify(db.prepare('SELECT * FROM fact ORDER BY key').all()) };
}

describe('fsck', function () {
  this.timeout(30_000);
  let template: string;
  let data: string;
  let folder: DataFolder;
  let sound: Contents;
  before(async () => {
    template = mkdtempSync(join(tmpdir(), 'starling-fsck-'));
    await furnish(join(template, 'data'));
    sound = contentsOf(dataFolderAt(join(template, 'data')));
  });
  after(() => rmSync(template, { recursive: true }));
  beforeEach(() => {
    data = mkdtempSync(join(tmpdir(), 'starling-fsck-'));
    folder = dataFolderAt(data);
    cpSync(join(template, 'data'), data, { recursive: true });
  });
  afterEach(() => rmSync(data, { recursive: true, force: true }));

  /** The stores open, hold together, and take more. */
  async function assertUsable(): Promise<void> {
    using stores = openStores(folder);
    const writer = await LedgerWriter.open(founderOf(folder), stores);
    writer.append(2);
    await writer.finalise(Buffer.alloc(10));
  }

  const blob = (): string => {
    const { initialModelRoot } = founderOf(folder).genesis;
    const files = readdirSync(folder.blobs, { recursive: true, withFileTypes: true }).filter((file) => file.isFile());
    const other = files.find(({ name }) => name !== initialModelRoot);
    assert.ok(other);
    return join(other.parentPath, other.name);
  };
  const model = (): string => {
    const { initialModelRoot: root } = founderOf(folder).genesis;
    return join(folder.blobs, root.slice(0, 2), root);
  };
  const entry = (i: number) => sound.entries.at(i) as SignedEntry;
  const sql = (path: string, statement: string): void => {
    using db = new DatabaseSync(path);
    db.exec(statement);
  };

  it('finds nothing in a sound folder, counts what is there, and changes nothing', async () => {
    const before = fingerprint(data);
    const report = await look(data);
    assert.deepEqual(report, { ok: true, data, problems: [], movedTo: null, entries: 8, blocks: 3, blobs: 2 });
    assert.deepEqual(await mend(data), report);
    assert.deepEqual(fingerprint(data), before);
  });

  it('finds nothing in a folder that no daemon ever ran in', async () => {
    const fresh = join(data, 'fresh');
    await foundFolder(fresh);
    assert.deepEqual((await look(fresh)).problems, []);
  });

  it('refuses a folder that is not there, and one that a daemon uses, naming it', async () => {
    await assert.rejects(look(join(data, 'nowhere')), (e) => e instanceof StarlingError && e.code === 'NOT_FOUND');
    assert.ok(!existsSync(join(data, 'nowhere')));
    using lock = lockDataFolder(folder.lock);
    assert.ok(lock);
    await assert.rejects(mend(data), (e) => e instanceof StarlingError && e.code === 'DATA_IN_USE' && e.facts.pid === process.pid);
  });

  /** What is done to a folder, and the place and kind that fsck must name. */
  const DAMAGES: readonly (readonly [name: string, damage: () => void, where: RegExp, kind: string])[] = [
    ['a bit of an entry', () => flipIn(folder.ledger, entry(3).coreBytes), /^ledger\.db entry 4$/, 'row'],
    ['a bit of an Ed25519 signature', () => flipIn(folder.ledger, entry(3).signature), /^ledger\.db entry 4$/, 'row'],
    [
      'a bit of a composite signature',
      () => flipIn(folder.ledger, (entry(5).composite as Uint8Array).subarray(0, 100)),
      /^ledger\.db entry 6$/,
      'row',
    ],
    ['a forged signature with a right checksum', () => forge(), /^ledger\.db entry [0-9a-f]{64}$/, 'rule'],
    ['an entry that is gone', () => sql(folder.ledger, 'DELETE FROM entry WHERE position = 4'), /^ledger\.db$/, 'gap'],
    ['a page of the ledger', () => flip(folder.ledger, 2 * 4096, 0xff), /^ledger\.db/, 'structure'],
    ['the index of the ledger', () => flipInIndex(folder.ledger, Buffer.from(entry(2).id, 'hex')), /^ledger\.db$/, 'structure'],
    ['the header of the ledger', () => writeFileSync(folder.ledger, 'garbage'.repeat(2_000)), /^ledger\.db$/, 'unreadable'],
    ['a ledger cut short', () => truncateSync(folder.ledger, 3 * 4096 + 100), /^ledger\.db/, 'structure'],
    ['a ledger cut to nothing', () => truncateSync(folder.ledger), /^ledger\.db$/, 'missing'],
    ['a ledger that is gone', () => rmSync(folder.ledger), /^ledger\.db$/, 'missing'],
    ['a ledger of another layout', () => sql(folder.ledger, 'PRAGMA user_version = 99'), /^ledger\.db$/, 'unreadable'],
    ['another database in its place', () => cpSync(folder.node, folder.ledger), /^ledger\.db$/, 'unreadable'],
    [
      'a bit of a block',
      () => flipIn(folder.blocks, Buffer.from((sound.blocks[1] as BlockRecord).block.header.treeRoot, 'hex')),
      /^blocks\.db block 2$/,
      'row',
    ],
    [
      'a bit of a certificate',
      () => flipIn(folder.blocks, sound.blocks[2]?.certificate.votes[0]?.signature as Uint8Array),
      /^blocks\.db block 3$/,
      'row',
    ],
    ['a block that is gone', () => sql(folder.blocks, 'DELETE FROM block WHERE epoch = 2'), /^blocks\.db block 2$/, 'gap'],
    [
      'two blocks exchanged',
      () =>
        sql(
          folder.blocks,
          'UPDATE block SET epoch = epoch + 10; UPDATE block SET epoch = CASE epoch WHEN 12 THEN 3 WHEN 13 THEN 2 ELSE 1 END',
        ),
      /^blocks\.db block [23]$/,
      'row',
    ],
    ['a certificate that nobody signed', () => remake((record) => unsigned(record)), /^blocks\.db block 3$/, 'rule'],
    [
      'a certificate of nobody',
      () => remake(({ block, certificate }) => ({ block, certificate: { ...certificate, votes: [] } })),
      /^blocks\.db block 3$/,
      'rule',
    ],
    ...(['treeRoot', 'stateRoot', 'modelRoot', 'votersHash', 'nextVotersHash'] as const).map(
      (field) =>
        [`a signed block with another ${field}`, () => remake((record) => resign(record, field)), /^blocks\.db block 3$/, 'rule'] as const,
    ),
    ['garbage for blocks', () => writeFileSync(folder.blocks, Buffer.alloc(9_000, 7)), /^blocks\.db$/, 'unreadable'],
    ['blocks that are gone', () => rmSync(folder.blocks), /^blocks\.db$/, 'missing'],
    ['a bit of a vote', () => flipIn(folder.node, Buffer.alloc(300, 'a vote')), /^node\.db fact votes$/, 'row'],
    ['garbage for facts', () => writeFileSync(folder.node, 'garbage'.repeat(2_000)), /^node\.db$/, 'unreadable'],
    ['facts that are gone', () => rmSync(folder.node), /^node\.db$/, 'missing'],
    [
      'an aggregate header that is gone',
      () => sql(folder.node, "DELETE FROM fact WHERE key LIKE 'aggregate/%'"),
      /^blocks\.db block 1$/,
      'gap',
    ],
    ['a bit of a blob', () => flip(blob(), 270_000), /^blobs\/../, 'content'],
    ['a blob cut short', () => truncateSync(blob(), 1_000), /^blobs\/../, 'content'],
    ['a file that is no blob', () => writeFileSync(join(folder.blobs, 'notes.txt'), 'x'), /^blobs\/notes\.txt$/, 'stranger'],
    ['a blob on the wrong shelf', () => cpSync(blob(), join(folder.blobs, 'zz', basename(blob()))), /^blobs\/zz$/, 'stranger'],
    [
      'half a blob',
      () => writeFileSync(join(folder.blobs, 'unfinished', `${'a'.repeat(64)}.0`), 'half'),
      /^blobs\/unfinished\//,
      'unfinished',
    ],
    [
      "a bit of this node's own content",
      () => {
        mkdirSync(join(folder.own, 'aa'), { recursive: true });
        writeFileSync(join(folder.own, 'aa', 'a'.repeat(64)), 'rotten');
      },
      /^own\/aa\/a/,
      'content',
    ],
    ['a file that was not renamed', () => writeFileSync(`${folder.peers}.123.tmp`, '['), /^peers\.json\.123\.tmp$/, 'unfinished'],
    ['a repair that was cut short', () => writeFileSync(`${folder.ledger}.repaired-wal`, 'x'), /^ledger\.db\.repaired-wal$/, 'unfinished'],
    ['a peer book', () => writeFileSync(folder.peers, '[{'), /^peers\.json$/, 'unreadable'],
    ['a token', () => flip(join(data, 'api.token'), 5, 0x80), /^api\.token$/, 'unreadable'],
    ['a token that others may read', () => chmodSync(join(data, 'api.token'), 0o644), /^api\.token$/, 'permissions'],
    ['the address of the API', () => writeFileSync(join(data, 'api.json'), '{}'), /^api\.json$/, 'unreadable'],
    ['keys that others may read', () => chmodSync(folder.identity, 0o640), /^identity\.json$/, 'permissions'],
    ['a lock that is none', () => writeFileSync(folder.lock, 'garbage'.repeat(200)), /^lock\.db$/, 'unreadable'],
  ];

  /** The last entry with another's signature, as somebody with a shell would put it there. */
  function forge(): void {
    using stores = openStores(folder);
    const { id, core, coreBytes } = entry(-1);
    sql(folder.ledger, 'DELETE FROM entry WHERE position = 8');
    stores.entries.append([{ id, core, coreBytes, signature: entry(2).signature }]);
  }

  /** The newest block as `change` makes it, with a right checksum. */
  function remake(change: (record: BlockRecord) => BlockRecord): void {
    using stores = openStores(folder);
    const record = stores.blocks.get(3) as BlockRecord;
    stores.blocks.truncate(2);
    stores.blocks.append(change(record));
  }
  function unsigned({ block, certificate }: BlockRecord): BlockRecord {
    const votes = certificate.votes.map(({ voter }) => ({ voter, signature: new Uint8Array(64).fill(1) }));
    return { block, certificate: { ...certificate, votes } };
  }
  /** The founder's own lie: it votes for roots that its ledger does not lead to. */
  function resign(
    { block, certificate }: BlockRecord,
    field: 'treeRoot' | 'stateRoot' | 'modelRoot' | 'votersHash' | 'nextVotersHash',
  ): BlockRecord {
    const { swarm, identity } = founderOf(folder);
    const lie = makeBlock({ ...block.header, [field]: 'ab'.repeat(32) }, block.body);
    const vote = signVote(swarm, { epoch: 3, round: 0, step: 'precommit', block: lie.hash, voter: identity.fingerprint }, identity);
    return { block: lie, certificate: { ...certificate, block: lie.hash, votes: [vote] } };
  }

  for (const [name, damage, where, kind] of DAMAGES) {
    it(`finds and repairs: ${name}`, async () => {
      damage();
      const before = fingerprint(data);
      const found = await look(data);
      assert.equal(found.ok, false);
      assert.ok(
        found.problems.some((p) => where.test(p.where) && p.kind === kind),
        JSON.stringify(found.problems, null, 1),
      );
      assert.ok(found.problems.every((p) => !p.repaired && p.fix !== '' && p.message !== ''));
      assert.deepEqual(fingerprint(data), before, 'looking changes nothing');

      const repaired = await mend(data);
      assert.deepEqual(
        repaired.problems.map((p) => p.where),
        found.problems.map((p) => p.where),
      );
      assert.ok(repaired.ok && repaired.problems.every((p) => p.repaired), JSON.stringify(repaired.problems));
      assert.deepEqual((await look(data)).problems, []);
      await assertUsable();
    });
  }

  const BEYOND: readonly (readonly [name: string, damage: () => void, where: RegExp, kind: string])[] = [
    ['a bit of the genesis', () => flip(folder.genesis, 20), /^genesis\.cbor$/, 'unreadable'],
    ['another genesis', () => otherGenesis(), /^genesis\.cbor$/, 'mismatch'],
    ['a genesis cut short', () => truncateSync(folder.genesis, 100), /^genesis\.cbor$/, 'unreadable'],
    ['a genesis that is gone', () => rmSync(folder.genesis), /^genesis\.cbor$/, 'missing'],
    ['a bit of the initial model', () => flip(model(), 3), /^blobs\/../, 'missing'],
    ['keys that are none', () => truncateSync(folder.identity, 80), /^identity\.json$/, 'unreadable'],
    ['keys that are gone', () => rmSync(folder.identity), /^identity\.json$/, 'missing'],
  ];

  /** The same bytes with a later founding: a genesis that decodes. */
  function otherGenesis(): void {
    const bytes = readFileSync(folder.genesis);
    const at = bytes.indexOf('createdMs') + 'createdMs'.length;
    bytes[at + 8] = (bytes[at + 8] as number) ^ 1;
    writeFileSync(folder.genesis, bytes);
  }

  for (const [name, damage, where, kind] of BEYOND) {
    it(`finds, and says what a person has to do: ${name}`, async () => {
      damage();
      const { entries } = await look(data);
      assert.equal(entries, 8, 'the ledger is not blamed');
      const report = await mend(data);
      const problem = report.problems.find((p) => where.test(p.where) && p.kind === kind);
      assert.ok(problem !== undefined && !problem.repaired, JSON.stringify(report.problems));
      assert.match(problem.fix, /--bootstrap|backup/);
      assert.equal(report.ok, false);
      assert.equal((await look(data)).entries, 8);
    });
  }

  it('keeps what a damaged ledger still holds: every entry before the damage, and the blocks that stand on them', async () => {
    flipIn(folder.ledger, entry(5).coreBytes);
    const report = await mend(data);
    assert.deepEqual([report.entries, report.blocks], [5, 1]);
    const left = contentsOf(folder);
    assert.deepEqual(left.entries, sound.entries.slice(0, 5));
    assert.deepEqual(left.blocks, sound.blocks.slice(0, 1));
    assert.match(report.problems[0]?.fix ?? '', /its own entries too, before it writes any/);
  });

  it('moves aside what it replaces, as it was', async () => {
    flipIn(folder.ledger, entry(5).coreBytes);
    const bytes = readFileSync(folder.ledger);
    flip(blob(), 5);
    const { movedTo } = await mend(data);
    assert.equal(movedTo, join(data, 'damaged', '2026-01-02T03-04-05.000Z'));
    assert.ok(readFileSync(join(movedTo, 'ledger.db')).equals(bytes));
    assert.equal(readdirSync(join(movedTo, 'blobs')).length, 1);
  });

  it('remembers that votes may be lost, whenever facts were', async () => {
    const lost = (): boolean => {
      using stores = openStores(folder);
      return stores.store.get(VOTES_LOST) !== undefined;
    };
    flipIn(folder.ledger, entry(5).coreBytes);
    await mend(data);
    assert.equal(lost(), false);
    flipIn(folder.node, Buffer.alloc(300, 'a vote'));
    await mend(data);
    assert.equal(lost(), true);
  });

  describe('of a daemon that was killed', () => {
    /** The folder with its logs, as a kill leaves it: everything is in them. */
    async function kill(): Promise<void> {
      rmSync(data, { recursive: true });
      const alive = `${data}-alive`;
      try {
        const founder = await foundFolder(alive);
        using stores = openStores(dataFolderAt(alive));
        const writer = await LedgerWriter.open(founder, stores);
        for (let i = 0; i < 5; i++) writer.append(1);
        await writer.finalise(Buffer.alloc(10));
        stores.store.set('votes', Buffer.alloc(100, 'first'));
        stores.store.set('votes', Buffer.alloc(100, 'second'));
        cpSync(alive, data, { recursive: true });
      } finally {
        rmSync(alive, { recursive: true });
      }
    }

    it('reads the logs, and leaves them as they are', async () => {
      await kill();
      const before = fingerprint(data);
      const report = await look(data);
      assert.deepEqual([report.problems, report.entries, report.blocks], [[], 5, 1]);
      assert.deepEqual(fingerprint(data), before);
    });

    for (const name of ['ledger', 'blocks', 'node'] as const) {
      it(`finds a log in which commits are lost (${name})`, async () => {
        await kill();
        const log = `${folder[name]}-wal`;
        flip(log, statSync(log).size - 2_000);
        const report = await mend(data);
        assert.ok(report.ok);
        assert.ok(
          report.problems.some((p) => p.kind === 'log' && p.where === basename(log)),
          JSON.stringify(report.problems),
        );
        assert.deepEqual((await look(data)).problems, []);
        await assertUsable();
      });
    }

    it('takes a write that was never committed for what it is', async () => {
      await kill();
      const log = `${folder.ledger}-wal`;
      const bytes = readFileSync(log);
      // A frame of the same log without a commit mark, and half of another.
      const frame = bytes.subarray(-4_120);
      writeFileSync(log, Buffer.concat([bytes, frame.subarray(0, 4), Buffer.alloc(4), frame.subarray(8), frame.subarray(0, 2_000)]));
      const report = await look(data);
      assert.deepEqual([report.problems, report.entries], [[], 5]);
    });
  });

  it('never takes a changed byte for sound: 120 places in the three databases', async () => {
    for (const name of ['ledger', 'blocks', 'node'] as const) {
      const bytes = readFileSync(folder[name]);
      let found = 0;
      for (let i = 0; i < 40; i++) {
        const at = createHash('sha256').update(`${name} ${i}`).digest().readUInt32BE() % bytes.length;
        flip(folder[name], at, 1 << (i % 8));
        const { ok } = await look(data);
        if (ok) assert.deepEqual(contentsOf(folder), sound, `byte ${at} of ${name}`);
        else found += 1;
        for (const beside of ['-wal', '-shm']) rmSync(`${folder[name]}${beside}`, { force: true });
        writeFileSync(folder[name], bytes);
      }
      assert.ok(found > 0, name);
    }
  });
});
