import assert from 'node:assert/strict';
import { contentOf } from '../../../src/crypto/index.ts';
import { Random } from '../../../src/learning/random.ts';
import { VirtualClock } from '../../../src/simulation/clock.ts';
import { Disk, MountedDisk, PowerCut } from '../../../src/simulation/disk.ts';
import { draft, hashOf } from '../ledger/entries.ts';

const chain = (count: number) => Array.from({ length: count }, (_, i) => draft({ author: hashOf('author'), salt: `${i}` }));

function mount(seed: number, writeMs = 0) {
  const disk = new Disk();
  const clock = new VirtualClock();
  let cuts = 0;
  const mounted = new MountedDisk(disk, { writeMs, random: Random.from(seed), clock, onCut: () => cuts++ });
  return { disk, clock, mounted, cuts: () => cuts };
}

describe('a simulated disk', () => {
  it('keeps what a process has written, whatever becomes of the process', async () => {
    const { disk, mounted } = mount(1);
    const entries = chain(3);
    mounted.entries.append(entries);
    mounted.store.set('key', Buffer.from('value'));
    const root = await mounted.blobs.put(Buffer.from('content'));
    mounted.unmount();
    assert.deepEqual([disk.entries.size(), Buffer.from(disk.store.get('key') ?? []).toString()], [3, 'value']);
    assert.equal(await disk.blobs.has(root), true);
  });

  it('takes nothing from a dead process', async () => {
    const { disk, mounted } = mount(1);
    mounted.unmount();
    assert.throws(() => mounted.entries.append(chain(1)), PowerCut);
    assert.throws(() => mounted.store.set('key', Buffer.from('value')), PowerCut);
    assert.throws(() => mounted.store.delete('key'), PowerCut);
    assert.throws(() => mounted.blocks.truncate(0), PowerCut);
    await assert.rejects(mounted.blobs.put(Buffer.from('content')), PowerCut);
    await assert.rejects(mounted.blobs.delete('root'), PowerCut);
    assert.deepEqual([disk.entries.size(), disk.store.get('key')], [0, undefined]);
  });

  it('cut in the n-th write: what came before is there, that one as a whole or not at all, and nothing after', () => {
    const left = new Set<number>();
    for (let seed = 0; seed < 20; seed++) {
      const { disk, mounted, cuts } = mount(seed);
      mounted.cutAt(2);
      mounted.entries.append(chain(2));
      assert.throws(() => mounted.entries.append(chain(5)), PowerCut);
      assert.throws(() => mounted.entries.append(chain(9)), PowerCut);
      assert.equal(cuts(), 1);
      left.add(disk.entries.size());
    }
    assert.deepEqual([...left].sort(), [2, 5], 'both happen, and nothing between');
  });

  it('may take back the newest writes that were durable soon, and none that was followed by one that was durable now', () => {
    const left = new Set<string>();
    for (let seed = 0; seed < 50; seed++) {
      const { disk, mounted } = mount(seed);
      mounted.entries.append(chain(1), 'soon');
      mounted.entries.append(chain(2));
      mounted.entries.append(chain(4), 'soon');
      mounted.store.set('key', Buffer.from('first'));
      mounted.store.set('key', Buffer.from('second'), 'soon');
      mounted.store.delete('key', 'soon');
      mounted.cutAt(1);
      assert.throws(() => mounted.blocks.truncate(0), PowerCut);
      left.add(`${disk.entries.size()} ${Buffer.from(disk.store.get('key') ?? 'none').toString()}`);
    }
    const every = [2, 4].flatMap((n) => ['first', 'none', 'second'].map((fact) => `${n} ${fact}`));
    assert.deepEqual([...left].sort(), every);
  });

  it('keeps all that a flush has made durable', () => {
    for (let seed = 0; seed < 20; seed++) {
      const { disk, mounted } = mount(seed);
      mounted.entries.append(chain(3), 'soon');
      mounted.entries.flush();
      mounted.cutAt(1);
      assert.throws(() => mounted.blocks.truncate(0), PowerCut);
      assert.equal(disk.entries.size(), 3);
    }
  });

  it('takes its time for content, and loses it when the process dies meanwhile', async () => {
    const { disk, clock, mounted } = mount(1, 10);
    const content = Buffer.from('content');
    const { root } = contentOf(content);
    let done = false;
    void mounted.blobs.put(content).then(() => {
      done = true;
    });
    assert.equal(await disk.blobs.has(root), false);
    assert.ok(await clock.runUntil(() => done, 11));
    assert.equal(await disk.blobs.has(root), true);
    const other = mounted.blobs.put(Buffer.from('other')).catch((error: unknown) => error);
    mounted.unmount();
    await clock.runUntil(() => false, 50);
    assert.ok((await other) instanceof PowerCut);
    assert.equal(await disk.blobs.has(contentOf(Buffer.from('other')).root), false);
  });

  it('is empty when it was replaced', () => {
    const { disk, mounted } = mount(1);
    mounted.entries.append(chain(3));
    disk.wipe();
    assert.equal(disk.entries.size(), 0);
  });
});
