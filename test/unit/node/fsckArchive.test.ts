import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { bytesOf } from '../../../src/aggregation/index.ts';
import { type FsckReport, fsck } from '../../../src/node/fsck.ts';
import { World } from '../../../src/simulation/index.ts';
import { MemoryBlockStore, MemoryEntryStore, MemoryNodeStore } from '../../../src/simulation/stores.ts';
import { type DataFolder, dataFolderAt, loadOrCreateIdentity, prepareDataFolder } from '../../../src/storage/index.ts';
import { encodeGenesis } from '../../../src/wire/index.ts';
import { founderOf, furnishPruned, openStores } from '../../support/dataFolder.ts';
import { LedgerWriter, type Stores } from '../../support/ledgerWriter.ts';

const look = (data: string) => fsck(data, { repair: false, atMs: 1 });
const mend = (data: string) => fsck(data, { repair: true, atMs: 1 });

const sql = (path: string, statement: string): void => {
  using db = new DatabaseSync(path);
  db.exec(statement);
};
/** Zeros the content that this query selects, in its place: the checksum does not match any more. */
const rot = (path: string, table: string, column: string, where: string): void =>
  sql(path, `UPDATE ${table} SET ${column} = zeroblob(length(${column})) WHERE ${where}`);

/** What is done to a folder with an archive; what fsck names; whether the archive is still whole. */
interface Harm {
  readonly name: string;
  readonly damage: (folder: DataFolder) => void;
  readonly where: readonly RegExp[];
  readonly keepsArchive: boolean;
}
const segment = ({ blocks }: DataFolder): void => rot(blocks, 'segment', 'bytes', 'from_epoch = (SELECT min(from_epoch) FROM segment)');
const base = ({ blocks }: DataFolder): void => rot(blocks, 'base', 'bytes', 'true');
const block = ({ blocks }: DataFolder): void => rot(blocks, 'block', 'record', 'epoch = 1 + (SELECT min(epoch) FROM block)');
const firstBlock = ({ blocks }: DataFolder): void => rot(blocks, 'block', 'record', 'epoch = (SELECT min(epoch) FROM block)');
const entry = ({ ledger }: DataFolder): void => rot(ledger, 'entry', 'core', 'position = 1 + (SELECT min(position) FROM entry)');
const genesis = ({ genesis: path }: DataFolder): void => {
  const bytes = readFileSync(path);
  bytes[20] = (bytes[20] as number) ^ 1;
  writeFileSync(path, bytes);
};
const lastPage = ({ blocks }: DataFolder): void => {
  sql(blocks, 'PRAGMA wal_checkpoint(TRUNCATE)');
  truncateSync(blocks, statSync(blocks).size - 4_096);
};
const ROW = /^blocks\.db (segment|base|block) \d+$/;
const HARMS: readonly Harm[] = [
  { name: 'a segment', damage: segment, where: [/^blocks\.db segment 1$/, /^blocks\.db archive$/], keepsArchive: false },
  { name: 'the base', damage: base, where: [/^blocks\.db base \d+$/, /^blocks\.db archive$/], keepsArchive: false },
  {
    name: 'a segment and the base',
    damage: (folder) => {
      segment(folder);
      base(folder);
    },
    where: [/^blocks\.db segment 1$/, /^blocks\.db base \d+$/],
    keepsArchive: false,
  },
  { name: 'a block after the base', damage: block, where: [/^blocks\.db block \d+$/], keepsArchive: true },
  { name: 'the first block after the base', damage: firstBlock, where: [/^blocks\.db block \d+$/], keepsArchive: true },
  { name: 'an entry after the base', damage: entry, where: [/^ledger\.db entry \d+$/], keepsArchive: true },
  { name: 'all blocks', damage: ({ blocks }) => rmSync(blocks), where: [/^blocks\.db$/], keepsArchive: false },
];

const assertNamed = ({ problems }: FsckReport, where: readonly RegExp[]): void => {
  for (const one of where)
    assert.ok(
      problems.some((problem) => one.test(problem.where)),
      `${one}: ${JSON.stringify(problems)}`,
    );
};

describe('fsck of a folder with an archive', function () {
  this.timeout(30_000);
  let root: string;
  let data: string;
  let folder: DataFolder;
  before(async () => {
    root = mkdtempSync(join(tmpdir(), 'starling-fsck-archive-'));
    await furnishPruned(join(root, 'sound'));
  });
  after(() => rmSync(root, { recursive: true }));
  beforeEach(() => {
    data = mkdtempSync(join(root, 'data-'));
    folder = dataFolderAt(data);
    cpSync(join(root, 'sound'), data, { recursive: true });
  });

  const idsIn = (path: string): string[] => {
    using stores = openStores(dataFolderAt(path));
    return [...stores.entries.all()].map(({ id }) => id);
  };
  async function assertGoesOn(epoch: number): Promise<void> {
    using stores = openStores(folder);
    const writer = await LedgerWriter.open(founderOf(folder), stores);
    assert.deepEqual([writer.base, writer.epoch], [2, epoch]);
    writer.append(2);
    await writer.finalise(Buffer.alloc(10));
    writer.archive(writer.epoch);
  }

  it('finds nothing in a sound one, and counts what is whole', async () => {
    const report = await look(data);
    assert.deepEqual([report.problems, report.entries, report.blocks], [[], 7, 4]);
    assert.deepEqual(await mend(data), report);
    await assertGoesOn(6);
  });

  it('keeps everything where the genesis is damaged: with it, the folder is as it was', async () => {
    const bytes = readFileSync(folder.genesis);
    for (const damage of [genesis, ({ genesis: path }: DataFolder) => rmSync(path)]) {
      damage(folder);
      assertNamed(await look(data), [/^genesis\.cbor$/]);
      const report = await mend(data);
      assert.deepEqual([report.ok, report.movedTo, report.entries, report.blocks], [false, null, 7, 4]);
      assert.match(report.problems[0]?.fix ?? '', /--bootstrap.*run `starling fsck` again/);
      writeFileSync(folder.genesis, bytes);
      assert.deepEqual((await look(data)).problems, []);
    }
    await assertGoesOn(6);
  });

  it('without a genesis keeps the archive, the blocks before a damaged one, and the entries before a damaged one', async () => {
    const bytes = readFileSync(folder.genesis);
    genesis(folder);
    for (const [damage, left] of [
      [block, [7, 1]],
      [firstBlock, [7, 0]],
      [entry, [1, 0]],
    ] as const) {
      damage(folder);
      const report = await mend(data);
      assert.deepEqual([report.entries, report.blocks], left, JSON.stringify(report.problems));
    }
    writeFileSync(folder.genesis, bytes);
    assert.deepEqual((await look(data)).problems, []);
    await assertGoesOn(2);
  });

  it('names what is cut off with the last page', async () => {
    lastPage(folder);
    const found = await look(data);
    assert.ok(found.problems.some(({ where, kind }) => where.startsWith('blocks.db') && kind === 'structure'));
    await mend(data);
    const again = await look(data);
    assert.ok(again.problems.every(({ kind, where }) => kind === 'gap' && where === 'ledger.db'));
  });

  for (const { name, damage, where, keepsArchive } of HARMS)
    it(`names ${name}, and throws no entry away that may be sound`, async () => {
      damage(folder);
      assertNamed(await look(data), where);
      const report = await mend(data);
      assertNamed(report, where);
      const sound = idsIn(join(root, 'sound'));
      const left = idsIn(data);
      if (damage !== entry) assert.deepEqual(left, sound);
      else assert.deepEqual(left, sound.slice(0, 1));
      // A second look, and a second repair, find the same and take nothing more.
      const waiting = keepsArchive ? [] : ['gap ledger.db'];
      for (const again of [await look(data), await mend(data)])
        assert.deepEqual(
          again.problems.map((problem) => `${problem.kind} ${problem.where}`),
          waiting,
        );
      assert.deepEqual(idsIn(data), left);
      assert.equal(report.ok, keepsArchive);
    });
});

describe('a node whose archive was damaged and repaired', function () {
  this.timeout(60_000);
  const rules = { minDeadlineMs: 100, snapshotEpochs: 3, retainEpochs: 5 } as const;
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'starling-fsck-world-'));
  });
  afterEach(() => rmSync(root, { recursive: true }));

  type Few = Pick<Stores, 'entries' | 'blocks' | 'store'>;
  function copy(from: Few, to: Few): void {
    to.entries.append([...from.entries.all()]);
    const at = from.blocks.base();
    if (at !== undefined) to.blocks.archive([...from.blocks.segments()], at);
    for (let epoch = (at?.epoch ?? 0) + 1; epoch <= from.blocks.head(); epoch++) {
      const record = from.blocks.get(epoch) ?? assert.fail(`block ${epoch}`);
      to.blocks.append(record);
    }
    for (const key of from.store.keys('')) to.store.set(key, from.store.get(key) as Uint8Array);
  }

  /** The machine of node `i` is down; its disk is damaged, examined and repaired as a folder. */
  async function repaired(world: World, i: number, damage: (folder: DataFolder) => void): Promise<FsckReport> {
    const path = join(root, String(Math.random()));
    mkdirSync(path);
    const folder = prepareDataFolder(path);
    writeFileSync(folder.genesis, encodeGenesis(world.genesis));
    loadOrCreateIdentity(folder.identity, (length) => new Uint8Array(length).fill(i));
    const { disk } = world.node(i);
    {
      using stores = openStores(folder);
      await stores.blobs.put(bytesOf(world.initialModel));
      copy(disk, stores);
    }
    assert.deepEqual((await look(path)).problems, []);
    damage(folder);
    assert.ok((await look(path)).problems.some(({ where }) => ROW.test(where) || /^(ledger|blocks)\.db/.test(where)));
    const report = await mend(path);
    [disk.entries, disk.blocks, disk.store] = [new MemoryEntryStore(), new MemoryBlockStore(), new MemoryNodeStore()];
    using stores = openStores(folder);
    copy(stores, disk);
    return report;
  }

  const finalAt = (world: World, i: number): number => world.node(i).engine?.ctx.chain.finalized.state.epoch ?? -1;
  const until = (world: World, isSo: () => boolean, ms = 60_000): Promise<boolean> => world.clock.runUntil(isSo, world.clock.nowMs() + ms);
  const entriesOf = (world: World, i: number): number => {
    const { ctx } = world.node(0).up;
    const [head] = ctx.replica.graph.heads(world.node(i).identity.fingerprint);
    return ctx.replica.graph.place(head ?? '')?.core.seq ?? -1;
  };

  it('goes on with peers in reach, on its one chain, whatever was damaged', async () => {
    const world = new World({ nodes: 3, seed: 11, rules });
    try {
      await world.boot();
      assert.ok(await until(world, () => [0, 1, 2].every((i) => finalAt(world, i) >= 14)));
      for (const { name, damage } of [...HARMS, { name: 'the last page', damage: lastPage }]) {
        const node = world.node(2);
        node.kill();
        await repaired(world, 2, damage);
        const said = entriesOf(world, 2);
        await node.start();
        node.attachTrainer();
        const goal = finalAt(world, 0) + 2;
        assert.ok(
          await until(world, () => finalAt(world, 2) >= goal && entriesOf(world, 2) > said),
          `${name}: at ${finalAt(world, 2)} of ${goal}`,
        );
        assert.equal(node.fatal, undefined, name);
        assert.ok(node.up.ctx.chain.base.state.epoch > 0, name);
        assert.deepEqual(world.node(0).up.ctx.replica.graph.forks(), [], name);
      }
    } finally {
      world.stop();
    }
  });

  it('that is alone goes on from what is left, and without its archive signs nothing', async () => {
    const world = new World({ nodes: 1, seed: 12, rules });
    try {
      await world.boot();
      const node = world.node(0);
      assert.ok(await until(world, () => finalAt(world, 0) >= 14));
      node.kill();
      await repaired(world, 0, lastBlock);
      await node.start();
      node.attachTrainer();
      const goal = finalAt(world, 0) + 6;
      assert.ok(await until(world, () => finalAt(world, 0) >= goal), `at ${finalAt(world, 0)}`);
      node.kill();
      const { ok } = await repaired(world, 0, segment);
      assert.equal(ok, false);
      const held = node.disk.entries.size();
      assert.ok(held > 0);
      await node.start();
      node.attachTrainer();
      await world.run(20_000);
      assert.deepEqual([node.disk.entries.size(), node.fatal, finalAt(world, 0)], [held, undefined, 0]);
    } finally {
      world.stop();
    }
  });
});

const lastBlock = ({ blocks }: DataFolder): void => rot(blocks, 'block', 'record', 'epoch = (SELECT max(epoch) FROM block)');
