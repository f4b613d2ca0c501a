import { StarlingError } from '../../spec/index.ts';
import type { Examples } from '../mlp.ts';
import { Random } from '../random.ts';

/** Samples that stay in their compact form on the heap until rows are taken. */
export interface Split {
  readonly n: number;
  readonly y: Uint16Array;
  /** Copies rows out as f32 scaled to [-1, 1]; rows may repeat. */
  take(rows: Uint32Array): Examples;
}

export interface Dataset {
  readonly name: string;
  /** Values a sample. */
  readonly features: number;
  /** Labels are 0..classes-1. */
  readonly classes: number;
  readonly train: Split;
  /** The held-out samples: the same ones at every node, in one order. */
  readonly test: Examples;
}

/** Samples as a file holds them, before scaling. */
export interface Table {
  readonly n: number;
  readonly features: number;
  readonly x: Float32Array | Uint8Array;
  readonly y: Uint16Array;
}

/** Share of a file without a test set of its own that is held out: the usual fifth. */
const HELD_OUT_SHARE = 0.2;

/** `table` with every value divided by `scale`. */
function splitOf(table: Table, scale: number): Split {
  const { n, features, x, y } = table;
  return {
    n,
    y,
    take: (rows) => {
      const taken = { n: rows.length, x: new Float32Array(rows.length * features), y: new Uint16Array(rows.length) };
      rows.forEach((row, i) => {
        taken.y[i] = y[row] as number;
        for (let k = 0; k < features; k++) taken.x[i * features + k] = (x[row * features + k] as number) / scale;
      });
      return taken;
    },
  };
}

/** Train and test files given apart: images of bytes, so 255 is full scale. */
export function fromTwoTables(name: string, train: Table, test: Table, scale: number): Dataset {
  const classes = Math.max(highest(train.y), highest(test.y)) + 1;
  const all = Uint32Array.from({ length: test.n }, (_, i) => i);
  return { name, features: train.features, classes, train: splitOf(train, scale), test: splitOf(test, scale).take(all) };
}

/** One file: a fixed fifth is held out, and the largest magnitude of the rest is full scale. Throws BAD_DATASET. */
export function fromOneTable(name: string, table: Table): Dataset {
  const order = Random.from('held-out', table.n).permutation(table.n);
  const held = Math.round(table.n * HELD_OUT_SHARE);
  if (held === 0)
    throw new StarlingError('BAD_DATASET', `${name} has ${table.n} samples, too few to hold any out`, {
      field: name,
      fix: 'give at least 3 samples',
    });
  const raw = splitOf(table, 1).take(order.subarray(held));
  const scale = raw.x.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
  const train = splitOf({ ...raw, features: table.features }, scale);
  return {
    name,
    features: table.features,
    classes: highest(table.y) + 1,
    train,
    test: splitOf(table, scale).take(order.subarray(0, held)),
  };
}

const highest = (labels: Uint16Array): number => labels.reduce((most, label) => Math.max(most, label), 0);
