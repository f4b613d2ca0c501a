import assert from 'node:assert/strict';
import fc from 'fast-check';
import { DIFFUSION_MAX, diffuse, ETA_ONE, mayDiffuse } from '../../../src/aggregation/index.ts';
import { picker } from '../../support/exchanges.ts';

/** Neighbours of each node. */
type Graph = readonly (readonly number[])[];

const ring = (n: number): Graph => Array.from({ length: n }, (_, i) => [...new Set([(i + 1) % n, (i + n - 1) % n])].filter((j) => j !== i));
const complete = (n: number): Graph => Array.from({ length: n }, (_, i) => Array.from({ length: n }, (_, j) => j).filter((j) => j !== i));

/** A ring, so that it is connected, with chords. */
function random(n: number, chords: number, pick: (n: number) => number): Graph {
  const edges = ring(n).map((others) => new Set(others));
  for (let c = 0; c < chords; c++) {
    const [a, b] = [pick(n), pick(n)];
    if (a !== b) {
      edges[a]?.add(b);
      edges[b]?.add(a);
    }
  }
  return edges.map((set) => [...set]);
}

const step = (rows: readonly Int32Array[], graph: Graph, eta: number): Int32Array[] =>
  rows.map((row, i) => {
    const end = (j: number) => ({ values: rows[j] as Int32Array, degree: (graph[j] as readonly number[]).length });
    const next = row.slice();
    for (const j of graph[i] as readonly number[]) diffuse(next, end(i), end(j), eta);
    return next;
  });

/** Second largest magnitude among the eigenvalues of I - eta L_w, by power iteration on what has no mean. */
function secondEigenvalue(graph: Graph, eta: number): number {
  const n = graph.length;
  let x = Array.from({ length: n }, (_, i) => Math.sin(1 + 7 * i));
  let value = 0;
  for (let iteration = 0; iteration < 5_000; iteration++) {
    const mean = x.reduce((a, b) => a + b, 0) / n;
    const centred = x.map((v) => v - mean);
    const norm = Math.hypot(...centred);
    const unit = centred.map((v) => v / norm);
    x = unit.map((v, i) => {
      const others = graph[i] as readonly number[];
      const flow = (j: number): number => ((unit[j] as number) - v) / (1 + Math.max(others.length, (graph[j] as readonly number[]).length));
      return v + eta * others.reduce((sum, j) => sum + flow(j), 0);
    });
    value = Math.hypot(...x);
  }
  return value;
}

const sumAt = (rows: readonly Int32Array[], k: number): number => rows.reduce((sum, row) => sum + (row[k] as number), 0);

/** Distance from the mean over all nodes, each coordinate's own. */
function spread(rows: readonly Int32Array[]): number {
  const k = rows[0]?.length ?? 0;
  const means = Array.from({ length: k }, (_, i) => sumAt(rows, i) / rows.length);
  return Math.hypot(...rows.flatMap((row) => [...row].map((v, i) => v - (means[i] as number))));
}

const rowsOf = (n: number, k: number, max: number, pick: (n: number) => number): Int32Array[] =>
  Array.from({ length: n }, () => new Int32Array(k).map(() => pick(2 * max + 1) - max));

describe('diffusion', () => {
  it('never changes the sum over all nodes, and leaves no node beyond its neighbours', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: ETA_ONE }), fc.integer(), (n, eta, seed) => {
        const pick = picker(seed);
        const graph = random(n, pick(2 * n), pick);
        let rows = rowsOf(n, 3, [1, 100, DIFFUSION_MAX - 1_000][pick(3)] as number, pick);
        const sums = [0, 1, 2].map((k) => sumAt(rows, k));
        for (let i = 0; i < 20; i++) {
          const [least, most] = [Math.min(...rows.flatMap((r) => [...r])), Math.max(...rows.flatMap((r) => [...r]))];
          rows = step(rows, graph, eta);
          assert.deepEqual(
            [0, 1, 2].map((k) => sumAt(rows, k)),
            sums,
          );
          for (const row of rows) for (const v of row) assert.ok(v >= least - n && v <= most + n);
        }
      }),
    );
  });

  it('comes to the mean at the rate of the second eigenvalue', () => {
    const pick = picker(11);
    for (const [name, graph, eta] of [
      ['ring of 12', ring(12), ETA_ONE],
      ['ring of 7, half a step', ring(7), ETA_ONE / 2],
      ['everyone with everyone, a quarter of a step', complete(9), ETA_ONE / 4],
      ['a random graph', random(20, 15, pick), ETA_ONE],
    ] as const) {
      const rate = secondEigenvalue(graph, eta / ETA_ONE);
      let rows = rowsOf(graph.length, 4, 2 ** 25, pick);
      // The first steps shed what decays faster; afterwards each step takes off the same share.
      const skip = Math.ceil(Math.log(0.02) / Math.log(rate));
      for (let i = 0; i < skip; i++) rows = step(rows, graph, eta);
      const [before, steps] = [spread(rows), Math.ceil(Math.log(0.1) / Math.log(rate))];
      for (let i = 0; i < steps; i++) rows = step(rows, graph, eta);
      const measured = (spread(rows) / before) ** (1 / steps);
      assert.ok(Math.abs(measured - rate) < 0.01 * rate, `${name}: ${measured} a step, the eigenvalue is ${rate}`);
    }
  });

  it('ends within rounding of the mean', () => {
    let rows = rowsOf(10, 2, 2 ** 25, picker(5));
    const means = [0, 1].map((k) => sumAt(rows, k) / 10);
    for (let i = 0; i < 600; i++) rows = step(rows, ring(10), ETA_ONE);
    for (const row of rows) for (const [k, v] of row.entries()) assert.ok(Math.abs(v - (means[k] as number)) < 10);
  });

  it('on a ring at three quarters is half its own and a quarter of each neighbour', () => {
    const rows = [Int32Array.of(400), Int32Array.of(800), Int32Array.of(-1_200), Int32Array.of(0)];
    assert.deepEqual(
      step(rows, ring(4), (3 * ETA_ONE) / 4).map((r) => r[0]),
      [400, 200, -400, -200],
    );
  });

  it('refuses by name what it cannot do exactly', () => {
    const own = { values: Int32Array.of(1, 2), degree: 1 };
    const row = own.values.slice();
    for (const eta of [0, -1, 0.5, ETA_ONE + 1, Number.NaN]) assert.throws(() => diffuse(row, own, own, eta), { code: 'MALFORMED' });
    assert.throws(() => diffuse(row, own, { values: Int32Array.of(1), degree: 1 }, 1), { code: 'MALFORMED' });
    const beyond = { values: Int32Array.of(1, -DIFFUSION_MAX - 1), degree: 1 };
    assert.throws(() => diffuse(row, own, beyond, 1), { code: 'BOUNDS_EXCEEDED' });
    assert.throws(() => diffuse(row, beyond, own, 1), { code: 'BOUNDS_EXCEEDED' });
    assert.ok(!mayDiffuse(beyond.values) && mayDiffuse(Int32Array.of(DIFFUSION_MAX, -DIFFUSION_MAX)));
    assert.deepEqual([...row], [1, 2]);
  });

  it('takes the same from one end as it gives the other, whatever else has changed there since', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 1, max: ETA_ONE }),
        fc.integer(),
        (da, db, eta, seed) => {
          const pick = picker(seed);
          const [a, b, later, sooner] = rowsOf(4, 5, DIFFUSION_MAX, pick) as [Int32Array, Int32Array, Int32Array, Int32Array];
          const sums = later.map((v, k) => v + (sooner[k] as number));
          diffuse(later, { values: a, degree: da }, { values: b, degree: db }, eta);
          diffuse(sooner, { values: b, degree: db }, { values: a, degree: da }, eta);
          assert.deepEqual(
            later.map((v, k) => v + (sooner[k] as number)),
            sums,
          );
        },
      ),
    );
  });
});
