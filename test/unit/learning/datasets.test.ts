import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { parseCsv } from '../../../src/learning/datasets/csv.ts';
import { parseIdx } from '../../../src/learning/datasets/idx.ts';
import { loadDataset } from '../../../src/learning/index.ts';

const text = (content: string): Uint8Array => new TextEncoder().encode(content);
const u32 = (n: number): number[] => [n >>> 24, (n >>> 16) & 255, (n >>> 8) & 255, n & 255];
const idx = (dims: number[], values: number[]): Uint8Array => Uint8Array.from([0, 0, 8, dims.length, ...dims.flatMap(u32), ...values]);
const countUp = (n: number): number[] => Array.from({ length: n }, (_, i) => i % 256);

describe('csv', () => {
  it('reads values and the class last, with or without a header', () => {
    const plain = parseCsv('a.csv', text('1,2.5,0\n-3,4e1,2\n'));
    assert.deepEqual([...plain.x, ...plain.y], [1, 2.5, -3, 40, 0, 2]);
    assert.deepEqual(parseCsv('a.csv', text('width,height,class\r\n1,2.5,0\r\n-3,4e1,2\r\n')), plain);
  });

  it('reads back what was written', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.float({ noNaN: true, noDefaultInfinity: true }), fc.nat(65_535)), { minLength: 1, maxLength: 20 }),
        (rows) => {
          const table = parseCsv('a.csv', text(rows.map((row) => row.join(',')).join('\n')));
          assert.deepEqual(
            Array.from(table.x, (x) => x + 0),
            rows.map(([x]) => x + 0),
          );
          assert.deepEqual(
            [...table.y],
            rows.map(([, y]) => y),
          );
        },
      ),
    );
  });

  const bad: [string, string, number][] = [
    ['no samples', 'a,b\n', 1],
    ['one column', '1\n2\n', 1],
    ['a ragged line', '1,2,0\n1,0\n', 2],
    ['a word', '1,2,0\n1,x,0\n', 2],
    ['an empty field', '1,2,0\n1,,0\n', 2],
    ['an infinite value', '1,2,0\n1,1e99,0\n', 2],
    ['a fractional class', '1,2,0.5\n', 1],
    ['a negative class', '1,2,-1\n', 1],
    ['a class beyond 16 bits', '1,2,65536\n', 1],
    ['an empty line inside', '1,2,0\n\n1,2,0\n', 2],
  ];
  for (const [name, content, line] of bad)
    it(`refuses ${name}, naming the line`, () => {
      assert.throws(
        () => parseCsv('bad.csv', text(content)),
        (e: Error & { code: string; facts: { line: number; fix: string } }) =>
          e.code === 'BAD_DATASET' && e.facts.line === line && e.message.includes('bad.csv') && e.facts.fix !== '',
      );
    });
});

describe('idx', () => {
  it('reads dimensions and bytes', () => {
    const { dims, data } = parseIdx('a', idx([2, 1, 3], countUp(6)), 3);
    assert.deepEqual(dims, [2, 1, 3]);
    assert.deepEqual([...data], countUp(6));
  });

  const good = idx([2, 1, 3], countUp(6));
  const bad: [string, Uint8Array, number][] = [
    ['an empty file', new Uint8Array(0), 0],
    ['a short header', good.subarray(0, 10), 10],
    ['another type', good.with(2, 0x0d), 2],
    ['another rank', good.with(3, 1), 3],
    ['too few values', good.subarray(0, good.length - 1), good.length - 1],
    ['too many values', Uint8Array.from([...good, 0]), good.length],
    ['sizes whose product overflows', Uint8Array.from([0, 0, 8, 3, ...countUp(12).map(() => 255)]), 16],
  ];
  for (const [name, bytes, offset] of bad)
    it(`refuses ${name}, naming the offset`, () => {
      assert.throws(
        () => parseIdx('bad-idx', bytes, 3),
        (e: Error & { code: string; facts: { offset: number } }) =>
          e.code === 'BAD_DATASET' && e.facts.offset === offset && e.message.includes('bad-idx'),
      );
    });
});

describe('loadDataset', () => {
  let folder = '';
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'starling-datasets-'));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  it('has the bundled digits: 1,797 images of 8x8, scaled to 0..1, a fifth held out', async () => {
    const digits = await loadDataset('digits');
    assert.equal(digits.features, 64);
    assert.equal(digits.classes, 10);
    assert.equal(digits.train.n + digits.test.n, 1_797);
    assert.equal(digits.test.n, 359);
    const { x } = digits.train.take(Uint32Array.from({ length: digits.train.n }, (_, i) => i));
    assert.deepEqual([Math.min(...x.subarray(0, 60_000)), Math.max(...x.subarray(0, 60_000))], [0, 1]);
    // The published class counts of the set (sklearn.datasets.load_digits): 178, 182, 177, 183, 181, 182, 181, 179, 174, 180.
    const counts = new Array<number>(10).fill(0);
    for (const label of [...digits.train.y, ...digits.test.y]) counts[label] = (counts[label] as number) + 1;
    assert.deepEqual(counts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
    assert.deepEqual((await loadDataset('digits')).test, digits.test, 'the held-out set is the same every time');
  });

  it('reads a directory of idx files, gzipped or not, its t10k files held out', async () => {
    await writeFile(join(folder, 'train-images-idx3-ubyte'), idx([3, 2, 2], [...countUp(11), 255]));
    await writeFile(join(folder, 'train-labels-idx1-ubyte.gz'), gzipSync(idx([3], [0, 2, 1])));
    await writeFile(join(folder, 't10k-images-idx3-ubyte.gz'), gzipSync(idx([1, 2, 2], [0, 51, 102, 255])));
    await writeFile(join(folder, 't10k-labels-idx1-ubyte'), idx([1], [1]));
    const set = await loadDataset(folder);
    assert.deepEqual([set.features, set.classes, set.train.n, set.test.n], [4, 3, 3, 1]);
    assert.deepEqual([...set.test.x], [0, Math.fround(0.2), Math.fround(0.4), 1]);
    assert.deepEqual([...set.train.take(Uint32Array.of(2)).y], [1]);
  });

  it('refuses labels that do not match their images, and missing files', async () => {
    await writeFile(join(folder, 't10k-labels-idx1-ubyte'), idx([2], [1, 1]));
    await assert.rejects(loadDataset(folder), { code: 'BAD_DATASET', message: /2 labels for the 1 images/ });
    await rm(join(folder, 't10k-labels-idx1-ubyte'));
    await assert.rejects(loadDataset(folder), { code: 'BAD_DATASET', message: /t10k-labels-idx1-ubyte/ });
  });

  it('reads a CSV file scaled by the largest magnitude of its training part', async () => {
    const path = join(folder, 'own.csv.gz');
    await writeFile(path, gzipSync(Array.from({ length: 10 }, (_, i) => `${i % 2 === 0 ? -4 : 2},0,${i % 2}`).join('\n')));
    const set = await loadDataset(path);
    assert.deepEqual([set.name, set.features, set.classes, set.train.n, set.test.n], ['own.csv.gz', 2, 2, 8, 2]);
    const { x } = set.train.take(Uint32Array.from({ length: 8 }, (_, i) => i));
    assert.deepEqual([...new Set(x)].sort(), [-1, 0, 0.5].sort());
  });

  it('refuses what it cannot read, and says what it takes', async () => {
    await writeFile(join(folder, 'torn.csv.gz'), gzipSync('1,2,0\n').subarray(0, 12));
    await writeFile(join(folder, 'two.csv'), '1,2,0\n1,2,1\n');
    await writeFile(join(folder, 'notes.txt'), '1,2,0\n');
    for (const name of ['torn.csv.gz', 'two.csv', 'notes.txt', 'absent.csv'].map((file) => join(folder, file)).concat('constructor'))
      await assert.rejects(
        loadDataset(name),
        (e: Error & { code: string; facts: { fix?: string } }) => e.code === 'BAD_DATASET' && e.facts.fix !== undefined,
      );
  });
});
