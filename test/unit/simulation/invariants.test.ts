import assert from 'node:assert/strict';
import type { Applied } from '../../../src/epoch/chain.ts';
import { Invariants, type Watched } from '../../../src/simulation/invariants.ts';
import { StarlingError } from '../../../src/spec/index.ts';

/** A node that has whatever a test says. */
class Fake implements Watched {
  readonly index: number;
  started = true;
  fatal: StarlingError | undefined;
  readonly acknowledged: string[] = [];
  readonly held = new Set<string>();
  /** Entries of which an archive holds the place alone. */
  readonly archived = new Set<string>();
  readonly disk = {
    entries: { has: (id: string) => this.held.has(id) },
    blocks: {
      segments: () => [{ leaves: [...this.archived].map((id) => ({ id, prev: null, lam: 1, void: false })) }],
    },
  };
  chain: Applied[] = [applied(0)];

  constructor(index: number) {
    this.index = index;
  }

  get up(): Watched['up'] {
    return { ctx: { chain: { finalized: this.chain.at(-1) as Applied, at: (epoch) => this.chain[epoch] } } };
  }
}

const applied = (epoch: number, id = `block ${epoch}`, roots: object = {}): Applied =>
  ({
    id,
    stateRoot: `state ${epoch}`,
    ...roots,
    state: { epoch, treeRoot: `tree ${epoch}`, modelRoot: `model ${epoch}`, ...roots },
  }) as unknown as Applied;

function watch(count = 3) {
  const nodes = Array.from({ length: count }, (_, i) => new Fake(i));
  const check = new Invariants(nodes, () => 1_234.4);
  const kinds = () => check.violations.map(({ kind, node, epoch }) => [kind, node, epoch]);
  const finalise = (node: number, ...steps: Applied[]) => {
    (nodes[node] as Fake).chain.push(...steps);
    check.observe();
  };
  return { nodes, check, kinds, finalise };
}

describe('what must hold', () => {
  it('holds where every node finalises the same, one sooner, one in leaps', () => {
    const { check, kinds, finalise } = watch();
    finalise(0, applied(1));
    finalise(1, applied(1), applied(2), applied(3));
    finalise(0, applied(2));
    assert.deepEqual([check.least, check.most], [0, 3]);
    finalise(2, applied(1));
    assert.deepEqual([check.least, kinds()], [1, []]);
    assert.deepEqual(
      check.agreed.map((a) => [a.epoch, a.block, a.first]),
      [
        [1, 'block 1', 0],
        [2, 'block 2', 1],
        [3, 'block 3', 1],
      ],
    );
  });

  it('breaks by two blocks at an epoch, told once, also deep inside a leap', () => {
    const { check, kinds, finalise } = watch();
    finalise(0, applied(1), applied(2), applied(3));
    finalise(1, applied(1), applied(2, 'another'), applied(3));
    check.observe();
    assert.deepEqual(kinds(), [['conflict', 1, 2]]);
    assert.match(check.violations[0]?.detail ?? '', /another, on node 0 block 2/);
    assert.equal(check.violations[0]?.atMs, 1_234);
  });

  it('breaks by one block with two roots, of any kind', () => {
    for (const root of ['treeRoot', 'stateRoot', 'modelRoot']) {
      const { check, kinds, finalise } = watch();
      finalise(0, applied(1));
      finalise(2, applied(1, 'block 1', { [root]: 'other' }));
      assert.deepEqual(kinds(), [['roots', 2, 1]], root);
      assert.match(check.violations[0]?.detail ?? '', new RegExp(`^${root} other`));
    }
  });

  it('breaks when a final epoch is taken back or replaced, across a restart too', () => {
    const { nodes, check, kinds, finalise } = watch();
    const [node] = nodes;
    assert.ok(node !== undefined);
    finalise(0, applied(1), applied(2));
    node.chain = [applied(0), applied(1), applied(2, 'new')];
    check.observe();
    assert.deepEqual(kinds(), [['conflict', 0, 2]]);
    node.started = false;
    node.chain = [applied(0)];
    check.observe();
    assert.equal(kinds().length, 1, 'a process that reads its disk has not got there yet');
    node.chain.push(applied(1));
    node.started = true;
    check.observe();
    assert.deepEqual(kinds().at(-1), ['regress', 0, 1]);
  });

  it('does not break when a machine with a new disk begins again', () => {
    const { nodes, check, kinds, finalise } = watch();
    finalise(0, applied(1), applied(2));
    const [node] = nodes;
    assert.ok(node !== undefined);
    check.forget(node);
    node.chain = [applied(0), applied(1)];
    check.observe();
    assert.deepEqual(kinds(), []);
  });

  it('breaks when an acknowledged entry is missing anywhere', () => {
    const { nodes, check, kinds } = watch();
    for (const node of nodes) node.held.add('a').add('b');
    nodes[1]?.acknowledged.push('a', 'c');
    nodes[0]?.acknowledged.push('a', 'b');
    nodes[1]?.held.add('c');
    // Archived is not lost.
    for (const node of nodes.slice(1)) {
      node.held.delete('a');
      node.archived.add('a');
    }
    assert.deepEqual([...check.lost().keys()], ['c']);
    check.reportLost();
    assert.deepEqual(kinds(), [['lost', 0, 0]]);
    assert.match(check.violations[0]?.detail ?? '', /entry c is not on 2 honest nodes/);
  });

  it('breaks when an honest process gives up, and when one lags behind what was wanted', () => {
    const { nodes, check, kinds, finalise } = watch();
    (nodes[2] as Fake).fatal = new StarlingError('DATA_CORRUPT', 'rot');
    finalise(0, applied(1));
    check.observe();
    assert.deepEqual(kinds(), [['stopped', 2, 0]]);
    (nodes[1] as Fake).started = false;
    check.reportUnfinished(500, 1);
    assert.deepEqual(kinds().slice(1), [
      ['unfinished', 1, 0],
      ['unfinished', 2, 0],
    ]);
    assert.equal(check.least, 0);
  });
});
