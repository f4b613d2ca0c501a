import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Random } from '../../../src/learning/random.ts';
import { fsck } from '../../../src/node/fsck.ts';
import { type BlockHash, type BlockHeader, type EntryId, StarlingError } from '../../../src/spec/index.ts';
import { dataFolderAt } from '../../../src/storage/index.ts';
import { blockHash } from '../../../src/wire/index.ts';
import { founderOf, foundFolder, openStores } from '../../support/dataFolder.ts';
import { FaultyDisk, MOMENTS, PowerCut, WRITES, type Write } from '../../support/faultyStore.ts';
import { LedgerWriter } from '../../support/ledgerWriter.ts';

const CRASHES = 200;
/** Crashes that one folder lives through, each of what the one before left. */
const LIVES = 4;
/** Actions of one life at most; every kind comes long before. */
const MAX_ACTIONS = 400;

/** What the stores have acknowledged. A write that was under way when the power went may be there or not. */
class Acknowledged {
  readonly entries = new Set<EntryId>();
  readonly blobs = new Set<string>();
  /** By epoch, from 1. */
  blocks: BlockHash[] = [];
  /** The rollback that was under way. */
  truncating = false;
  scratch: 'set' | 'gone' | 'either' = 'gone';
  vote = 0;
  /** What was signed for each vote: a second value is a double vote. */
  readonly signed = new Map<number, string>();
}

describe('storage when the power goes', function () {
  this.timeout(60_000);
  let root: string;
  before(async () => {
    root = mkdtempSync(join(tmpdir(), 'starling-crash-'));
    await foundFolder(join(root, 'founded'));
  });
  after(() => rmSync(root, { recursive: true }));

  /** One process, until the power goes. */
  async function live(disk: FaultyDisk, writer: LedgerWriter, random: Random, done: Acknowledged): Promise<{ full: number }> {
    const { entries, blocks, blobs, store } = disk.stores;
    const pick = (n: number): number => Math.floor(random.uniform() * n);
    const content = (): Buffer => Buffer.alloc(4 + 4 * pick(800), String(random.uint32()));
    const actions: (() => Promise<void> | void)[] = [
      () => {
        for (const { id } of writer.append(1 + pick(5))) done.entries.add(id);
      },
      async () => {
        if (writer.tip === undefined) return;
        const { block } = await writer.finalise(content());
        done.blocks.push(block.hash);
      },
      () => {
        if (writer.epoch === writer.base || pick(3) > 0) return;
        done.truncating = true;
        writer.rollback(writer.epoch - 1);
        done.truncating = false;
        done.blocks.pop();
      },
      () => {
        // Some blocks stay whole, as `retainEpochs` keeps them.
        const to = writer.epoch - pick(3);
        if (to > writer.base && pick(2) === 0) writer.archive(to);
      },
      async () => void done.blobs.add(await blobs.put(content())),
      async () => {
        const [one] = done.blobs;
        if (one === undefined) return;
        done.blobs.delete(one);
        await blobs.delete(one);
      },
      () => {
        // The vote is on disk before it is signed.
        const next = lastVote(store.get('vote')).number + 1;
        const value = random.uint32().toString(16);
        store.set('vote', Buffer.from(`${next} ${value}`));
        assert.equal(done.signed.get(next) ?? value, value, `a second vote ${next}`);
        done.signed.set(next, value);
        done.vote = next;
      },
      () => {
        done.scratch = 'either';
        store.set('scratch', Buffer.alloc(pick(9_000)));
        done.scratch = 'set';
      },
      () => {
        done.scratch = 'either';
        store.delete('scratch');
        done.scratch = 'gone';
      },
    ];
    let full = 0;
    for (let i = 0; i < MAX_ACTIONS; i++) {
      const [size, head] = [entries.size(), blocks.head()];
      try {
        await actions[pick(actions.length)]?.();
      } catch (e) {
        if (e instanceof PowerCut) return { full };
        if (!(e instanceof StarlingError) || e.code !== 'DISK_FULL') throw e;
        full += 1;
        done.truncating = false;
        if (done.scratch === 'either') done.scratch = store.get('scratch') === undefined ? 'gone' : 'set';
        assert.deepEqual([entries.size(), blocks.head()], [size, head], 'a write that found no space left a part of itself');
      }
    }
    throw new Error('the power never went');
  }

  const lastVote = (bytes: Uint8Array | undefined): { readonly number: number; readonly value: string } => {
    const [number, value] = Buffer.from(bytes ?? '0 ')
      .toString()
      .split(' ');
    return { number: Number(number), value: value ?? '' };
  };

  async function assertKept(path: string, done: Acknowledged): Promise<void> {
    using stores = openStores(dataFolderAt(path));
    const { entries, blocks, blobs, store } = stores;
    const archived = [...blocks.segments()];
    const base = blocks.base()?.epoch ?? 0;
    const held = new Set([...archived.flatMap(({ leaves }) => leaves), ...entries.all()].map(({ id }) => id));
    const headers = archived.flatMap((segment) => segment.headers);
    const hashAt = (epoch: number): BlockHash | undefined =>
      epoch <= base ? blockHash(headers[epoch - 1] as BlockHeader) : blocks.get(epoch)?.block.hash;
    for (const id of done.entries) assert.ok(held.has(id), `entry ${id} is gone`);
    for (const one of done.blobs) assert.ok((await blobs.get(one)) !== undefined, `blob ${one} is gone`);
    done.blocks.forEach((hash, i) => {
      if (done.truncating && i === done.blocks.length - 1 && blocks.head() === i) return;
      assert.equal(hashAt(i + 1), hash, `block ${i + 1} is gone`);
    });
    assert.ok(blocks.head() <= done.blocks.length + 1);
    const vote = lastVote(store.get('vote'));
    assert.ok(vote.number === done.vote || vote.number === done.vote + 1, `vote ${done.vote} was sent, ${vote.number} is on disk`);
    if (vote.number === done.vote) assert.equal(vote.value, done.signed.get(vote.number) ?? '');
    if (done.scratch !== 'either') assert.equal(store.get('scratch') !== undefined, done.scratch === 'set');
    // What survived beyond what was acknowledged is as good as acknowledged from now on.
    for (const id of held) done.entries.add(id);
    done.blocks = Array.from({ length: blocks.head() }, (_, i) => hashAt(i + 1) as BlockHash);
    done.truncating = false;
    done.scratch = store.get('scratch') === undefined ? 'gone' : 'set';
    if (vote.number > done.vote) done.signed.set(vote.number, vote.value);
    done.vote = vote.number;
  }

  it(`keeps all that it acknowledged through ${CRASHES} crashes at every write, and fsck leaves it clean`, async () => {
    const founder = founderOf(dataFolderAt(join(root, 'founded')));
    const tally = { repaired: 0, full: 0, base: 0 };
    let done = new Acknowledged();
    let path = '';
    for (let crash = 0; crash < CRASHES; crash++) {
      const random = Random.from('crash', crash);
      if (crash % LIVES === 0) {
        path = join(root, `${crash}-founded`);
        cpSync(join(root, 'founded'), path, { recursive: true });
        done = new Acknowledged();
      }
      const next = join(root, String(crash));
      const write = WRITES[crash % WRITES.length] as Write;
      const moment = MOMENTS[Math.floor(crash / WRITES.length) % MOMENTS.length] as (typeof MOMENTS)[number];
      const what = `crash ${crash}, ${moment} ${write}`;
      try {
        using disk = new FaultyDisk(path, random);
        const writer = await LedgerWriter.open(founder, disk.stores);
        // A while of undisturbed work first.
        for (const { id } of writer.append(3)) done.entries.add(id);
        disk.fillAt(WRITES[Math.floor(random.uniform() * WRITES.length)] as Write);
        disk.cutAt(write, moment);
        tally.full += (await live(disk, writer, random, done)).full;
        disk.remains(next);
        const report = await fsck(next, { repair: true, atMs: crash });
        assert.ok(report.ok, JSON.stringify(report.problems));
        if (report.problems.length > 0) {
          tally.repaired += 1;
          assert.deepEqual((await fsck(next, { repair: false, atMs: crash })).problems, []);
        }
        await assertKept(next, done);
        tally.base = Math.max(tally.base, writer.base);
        assert.deepEqual(readdirSync(join(next, 'blobs', 'unfinished')), []);
      } catch (e) {
        throw new Error(`${what}: ${(e as Error).message}`, { cause: e });
      }
      rmSync(path, { recursive: true });
      path = next;
    }
    assert.ok(tally.repaired > 0 && tally.repaired < CRASHES, `${tally.repaired} repaired`);
    assert.ok(tally.full > CRASHES / 10, `${tally.full} writes found no space`);
    assert.ok(tally.base > LIVES, `the newest base is ${tally.base}`);
  });
});
