import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FACTS, inspectTable, openNodeStore } from '../../../src/storage/index.ts';

const FACTS_HELD = 1_000;
/** Bytes: SQLite's default. */
const PAGE = 4_096;

describe('inspection of a database', () => {
  let folder: string;
  let path: string;
  const keyOf = (i: number): string => `key ${String(i).padStart(4, '0')}`;
  let sound: Buffer;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'starling-inspect-'));
    path = join(folder, 'node.db');
    using store = openNodeStore(path);
    for (let i = 0; i < FACTS_HELD; i++) store.set(keyOf(i), Buffer.alloc(200, i));
    store.close();
    sound = readFileSync(path);
  });
  after(() => rmSync(folder, { recursive: true }));
  beforeEach(() => writeFileSync(path, sound));

  const keysRead = () => inspectTable(path, FACTS).rows.map(({ key }) => key);

  it('reads all of a sound one, and nothing of one that is not there', () => {
    const { rows, damages } = inspectTable(path, FACTS);
    assert.deepEqual([rows.length, damages], [FACTS_HELD, []]);
    assert.deepEqual(inspectTable(join(folder, 'none.db'), FACTS), { rows: [], damages: [] });
  });

  it('reads on both sides of a page that cannot be read, in the order of the key', () => {
    const middle = Math.floor(sound.length / PAGE / 2) * PAGE;
    writeFileSync(path, Buffer.from(sound).fill(0xee, middle, middle + PAGE));
    const { damages } = inspectTable(path, FACTS);
    assert.ok(damages.some(({ kind }) => kind === 'structure'));
    const keys = keysRead();
    assert.ok(keys.length > FACTS_HELD / 2 && keys.length < FACTS_HELD, `${keys.length} rows`);
    assert.deepEqual([keys[0], keys.at(-1)], [keyOf(0), keyOf(FACTS_HELD - 1)]);
    assert.deepEqual(keys, [...keys].sort());
  });

  it('reads what is left of one that was cut short, and keeps no copy of it', () => {
    truncateSync(path, sound.length - 10 * PAGE);
    const { rows, damages } = inspectTable(path, FACTS);
    assert.match(damages[0]?.message ?? '', /cut short/);
    assert.ok(rows.length > FACTS_HELD / 2 && rows.length < FACTS_HELD, `${rows.length} rows`);
    assert.deepEqual(
      readdirSync(tmpdir()).filter((name) => name.startsWith('starling-salvage-')),
      [],
    );
  });
});
