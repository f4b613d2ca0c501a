import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type AppliedChain, DecisionTree, seatsOf } from '../../../src/consensus/forkChoice.ts';
import type { DecisionBody, NodeClass, SwarmState } from '../../../src/spec/index.ts';
import { hashOf } from '../ledger/entries.ts';

const ROOT = hashOf('root');
const AUTHORS = Array.from({ length: 7 }, (_, i) => hashOf(`author ${i}`));
const bodyOf = (prev: string, epoch: number): DecisionBody => ({
  epoch,
  prev,
  roster: [],
  weights: [],
  aggregateHash: hashOf('none'),
  dropped: [],
});

interface Said {
  readonly author: string;
  readonly seq: number;
  readonly id: string;
  readonly body: DecisionBody;
}

interface Given {
  readonly history: readonly Said[];
  readonly chain: AppliedChain;
  /** Epochs 1 to the head. */
  readonly path: readonly string[];
  /** The seats of each decision: those of its parent and a few more. */
  readonly seats: ReadonlyMap<string, readonly string[]>;
}

function stateOf(id: string, epoch: number, seats: readonly string[], others: readonly string[] = []): SwarmState {
  const member = (fingerprint: string, nodeClass: NodeClass) => ({ fingerprint, nodeClass }) as SwarmState['members'][number];
  const members = [...seats.map((s, i) => member(s, i % 2 === 0 ? 'core' : 'relay')), ...others.map((o) => member(o, 'edge'))];
  const unused = { scaleExponents: [], treeSize: 0, treeRoot: ROOT, leavesHash: ROOT, modelRoot: ROOT, recordsRoot: ROOT, eventHash: ROOT };
  return { epoch, decision: id, members, ...unused, invites: [], motions: [], refused: false };
}

/** A node that has applied `path`; everyone without a seat is a member that has none. */
function chainOf(path: readonly string[], seats: ReadonlyMap<string, readonly string[]>): AppliedChain {
  const applied = [ROOT, ...path].map((id, epoch) => {
    const holders = seats.get(id) ?? [];
    return {
      id,
      state: stateOf(
        id,
        epoch,
        holders,
        AUTHORS.filter((a) => !holders.includes(a)),
      ),
    };
  });
  return { head: applied.at(-1) as (typeof applied)[number], at: (epoch) => applied[epoch] };
}

/** The same seats in every state of a node that has applied `path`. */
const seated = (seats: readonly string[], path: readonly string[] = []): AppliedChain =>
  chainOf(path, new Map([ROOT, ...path].map((id) => [id, seats])));

/**
 * A random tree and who said which of its decisions under which number (the same number may stand twice, a fork), the
 * seats of each decision, and a node that has applied one line of it.
 */
const givens = fc
  .record({
    parents: fc.array(fc.nat(), { minLength: 1, maxLength: 12 }),
    said: fc.array(fc.record({ author: fc.nat(6), seq: fc.nat(8), decision: fc.nat() }), { maxLength: 40 }),
    newSeats: fc.array(fc.nat(6), { minLength: 13, maxLength: 13 }),
    tip: fc.nat(),
    salt: fc.nat(),
  })
  .map(({ parents, said, newSeats, tip, salt }): Given => {
    const decisions: { id: string; body: DecisionBody }[] = [];
    const seats = new Map([[ROOT, AUTHORS.slice(0, 1 + (newSeats[12] as number))]]);
    for (const [i, parent] of parents.entries()) {
      const above = parent % (i + 1) === 0 ? undefined : decisions[(parent % (i + 1)) - 1];
      const made = { id: hashOf(`${salt}/${i}`), body: bodyOf(above?.id ?? ROOT, (above?.body.epoch ?? 0) + 1) };
      decisions.push(made);
      seats.set(made.id, [...new Set([...(seats.get(made.body.prev) ?? []), AUTHORS[newSeats[i] as number] as string])]);
    }
    const history = said.map(({ author, seq, decision }) => ({
      author: AUTHORS[author] as string,
      seq,
      ...(decisions[decision % decisions.length] as (typeof decisions)[number]),
    }));
    // What is applied was said by somebody.
    const known = new Map(history.map((s) => [s.id, s.body.prev]));
    const lineTo = (id: string): string[] | undefined => {
      const prev = known.get(id);
      return id === ROOT ? [] : prev === undefined ? undefined : lineTo(prev)?.concat(id);
    };
    const lines = [ROOT, ...known.keys()].flatMap((id) => [lineTo(id) ?? []]);
    const path = lines[tip % lines.length] as string[];
    return { history, chain: chainOf(path, seats), path, seats };
  });

const treeOf = (history: readonly Said[]): DecisionTree => {
  const tree = new DecisionTree(ROOT);
  for (const { author, seq, id, body } of history) tree.add(author, seq, id, body);
  return tree;
};

/** Everything from genesis on: what stays of the applied path, then what the choice names. */
const whole = (tree: DecisionTree, { path, chain }: Pick<Given, 'path' | 'chain'>, allowed?: (id: string) => boolean): string[] => {
  const { epoch, next } = tree.best(chain, allowed);
  return [...path.slice(0, epoch), ...next];
};

const latestOf = (history: readonly Said[], author: string): Said | undefined =>
  history.filter((s) => s.author === author).sort((a, b) => b.seq - a.seq || (a.id < b.id ? -1 : 1))[0];

/** GHOST over seats, written from its definition alone: recursion over sets, nothing kept between steps. */
function plainChoice({ history, path, seats }: Given, allowed: (id: string) => boolean): string[] {
  const childrenOf = (id: string) => [...new Set(history.filter((s) => s.body.prev === id).map((s) => s.id))];
  const subtree = (id: string): Set<string> => new Set([id, ...childrenOf(id).flatMap((child) => [...subtree(child)])]);
  const chosen: string[] = [];
  let holders: readonly string[] = [];
  for (let at = ROOT; ; ) {
    // Seats of what is not applied are not known: those of the last applied decision count on.
    if (at === (path[chosen.length - 1] ?? ROOT)) holders = seats.get(at) ?? [];
    const weight = (id: string): number => holders.filter((h) => subtree(id).has(latestOf(history, h)?.id ?? '')).length;
    const applied = at === (path[chosen.length - 1] ?? ROOT) ? path[chosen.length] : undefined;
    const [best] = childrenOf(at)
      .filter((id) => weight(id) > 0 && (id === applied || allowed(id)))
      .sort((a, b) => weight(b) - weight(a) || (a < b ? -1 : 1));
    const next = best ?? applied;
    if (next === undefined) return chosen;
    chosen.push(next);
    at = next;
  }
}

const shuffle = <T>(items: readonly T[], keys: readonly number[]): T[] =>
  items
    .map((item, i) => ({ item, key: keys[i % keys.length] as number, i }))
    .sort((a, b) => a.key - b.key || a.i - b.i)
    .map(({ item }) => item);

describe('fork choice', () => {
  it('is GHOST with one voice a seat, whatever the tree and whatever is applied', () => {
    fc.assert(
      fc.property(givens, fc.nat(15), (given, refused) => {
        const bad = given.history[refused]?.id;
        const allowed = (id: string) => id !== bad;
        assert.deepEqual(whole(treeOf(given.history), given, allowed), plainChoice(given, allowed));
      }),
      { numRuns: 1_000 },
    );
  });

  it('does not depend on the order in which decisions become known', () => {
    fc.assert(
      fc.property(givens, fc.array(fc.integer(), { minLength: 40, maxLength: 40 }), (given, keys) => {
        const [a, b] = [treeOf(given.history), treeOf(shuffle(given.history, keys))];
        assert.deepEqual(b.best(given.chain), a.best(given.chain));
        for (const { id } of given.history) assert.deepEqual(b.supporters(id, AUTHORS), a.supporters(id, AUTHORS));
      }),
      { numRuns: 400 },
    );
  });

  it('leads two nodes that have applied different branches to one', () => {
    fc.assert(
      fc.property(givens, (given) => {
        const tree = treeOf(given.history);
        // Applies one decision at a time, each with seats of its own, as a node does.
        const settle = (start: readonly string[]): readonly string[] => {
          for (let path = start, left = 100; left > 0; left--) {
            const { epoch, next } = tree.best(chainOf(path, given.seats), undefined, 1);
            if (next.length === 0) return path;
            path = [...path.slice(0, epoch), ...next];
          }
          return assert.fail('it never comes to rest');
        };
        const fromGenesis = settle([]);
        // A node keeps what no seat speaks for any more; it never parts from what they do speak for.
        assert.deepEqual(settle(given.path).slice(0, fromGenesis.length), fromGenesis);
      }),
      { numRuns: 400 },
    );
  });

  it('does not hear who holds no seat, however many they are and whatever they sign', () => {
    const noise = fc.array(fc.record({ author: fc.nat(9), seq: fc.nat(9), at: fc.nat(), fresh: fc.boolean() }), { maxLength: 40 });
    fc.assert(
      fc.property(givens, noise, (given, strangers) => {
        const tree = treeOf(given.history);
        const before = tree.best(given.chain);
        const known = [bodyOf(ROOT, 1), ...given.history.map((s) => s.body)];
        for (const { author, seq, at, fresh } of strangers) {
          const body = known[at % known.length] as DecisionBody;
          tree.add(`stranger ${author}`, seq, fresh ? `00${author}${seq}` : hashOf(`noise ${seq}`), bodyOf(body.prev, body.epoch));
        }
        assert.deepEqual(tree.best(given.chain), before);
      }),
      { numRuns: 300 },
    );
  });

  it('counts supporters as the seats whose latest decision stands on it', () => {
    fc.assert(
      fc.property(givens, ({ history }) => {
        const tree = treeOf(history);
        const known = new Map(history.map((s) => [s.id, s.body.prev]));
        const standsOn = (id: string, on: string): boolean => id === on || (known.has(id) && standsOn(known.get(id) as string, on));
        const some = AUTHORS.slice(2);
        for (const { id } of history) {
          const expected = standsOn(id, ROOT) ? some.filter((author) => standsOn(latestOf(history, author)?.id ?? '', id)) : [];
          assert.deepEqual(tree.supporters(id, some), expected);
        }
      }),
      { numRuns: 200 },
    );
  });

  it('names no more decisions than it is asked for, the first ones', () => {
    fc.assert(
      fc.property(givens, fc.integer({ min: 1, max: 4 }), ({ history, chain }, limit) => {
        const tree = treeOf(history);
        const all = tree.best(chain);
        assert.deepEqual(tree.best(chain, undefined, limit), { epoch: all.epoch, next: all.next.slice(0, limit) });
      }),
    );
  });

  it('hears an author who comes back to what it had decided before', () => {
    const [x, y] = [hashOf('x'), hashOf('y')];
    const tree = new DecisionTree(ROOT);
    tree.add('ann', 1, x, bodyOf(ROOT, 1));
    tree.add('ann', 2, y, bodyOf(ROOT, 1));
    assert.deepEqual(tree.supporters(y, ['ann', 'ben']), ['ann']);
    assert.equal(tree.add('ann', 3, x, bodyOf(ROOT, 1)), true);
    assert.deepEqual([tree.supporters(x, ['ann']), tree.supporters(y, ['ann'])], [['ann'], []]);
    assert.equal(tree.add('ann', 3, x, bodyOf(ROOT, 1)), false, 'the same again is no news');
  });

  it('breaks a tie by the lower hash, lets one more seat outweigh it, and lets no one else', () => {
    const [low, high] = [hashOf('x'), hashOf('y')].sort() as [string, string];
    const tree = treeOf([
      { author: 'ann', seq: 1, id: high, body: bodyOf(ROOT, 1) },
      { author: 'ben', seq: 1, id: low, body: bodyOf(ROOT, 1) },
    ]);
    const three = seated(['ann', 'ben', 'cas']);
    assert.deepEqual(tree.best(three).next, [low]);
    assert.deepEqual(tree.best(seated(['ann', 'ben', 'cas'], [high])), { epoch: 0, next: [low] }, 'whatever is applied');
    assert.deepEqual(tree.best(seated(['ann'])).next, [high]);
    assert.deepEqual(tree.best(seated(['dan'])).next, [], 'what no seat stands on is not taken');
    tree.add('cas', 1, high, bodyOf(ROOT, 1));
    assert.deepEqual(tree.best(seated(['ann', 'ben'])).next, [low]);
    assert.deepEqual(tree.best(three).next, [high]);
  });

  it('weighs the children of a decision by the seats of its state, not by those that came later', () => {
    const [first, second, other] = [hashOf('first'), hashOf('second'), hashOf('other')];
    const tree = new DecisionTree(ROOT);
    tree.add('ann', 1, first, bodyOf(ROOT, 1));
    tree.add('ann', 2, second, bodyOf(first, 2));
    for (const late of ['ben', 'cas', 'dan']) tree.add(late, 1, other, bodyOf(ROOT, 1));
    const everyone = ['ann', 'ben', 'cas', 'dan'];
    const seats = new Map([
      [ROOT, ['ann']],
      [first, everyone],
      [second, everyone],
    ]);
    assert.deepEqual(tree.best(chainOf([first, second], seats)), { epoch: 2, next: [] });
    assert.deepEqual(tree.best(seated(everyone, [first, second])), { epoch: 0, next: [other] });
  });

  it('takes a decision whose parent comes later once the parent is there', () => {
    const [parent, child] = [hashOf('parent'), hashOf('child')];
    const tree = new DecisionTree(ROOT);
    tree.add('ann', 2, child, bodyOf(parent, 2));
    assert.deepEqual(tree.best(seated(['ann'])).next, []);
    tree.add('ann', 1, parent, bodyOf(ROOT, 1));
    assert.deepEqual(tree.best(seated(['ann'])).next, [parent, child]);
  });

  it('holds seats for core and relay alone', () => {
    assert.deepEqual(seatsOf(stateOf(ROOT, 0, ['core', 'relay'], ['edge'])), ['core', 'relay']);
  });
});

describe('what the fork choice costs', () => {
  /** Looks at the applied chain while it is asked, with ten seats that all stand at the end of `known` epochs. */
  function looks(known: number, applied: number, side: number): number {
    const line = Array.from({ length: known }, (_, i) => hashOf(`epoch ${i + 1}`));
    const tree = new DecisionTree(ROOT);
    const seats = Array.from({ length: 10 }, (_, i) => `seat ${i}`);
    for (const [i, id] of line.entries()) tree.add('anyone', i, id, bodyOf(line[i - 1] ?? ROOT, i + 1));
    for (const seat of seats) tree.add(seat, known, line.at(-1) as string, bodyOf(line.at(-2) ?? ROOT, known));
    // One seat stands at the end of a long branch of its own.
    let prev = ROOT;
    for (let i = 1; i <= side; i++) {
      tree.add('seat 0', known + i, hashOf(`side ${i}`), bodyOf(prev, i));
      prev = hashOf(`side ${i}`);
    }
    const chain = seated(seats, line.slice(0, applied));
    let count = 0;
    const counting: AppliedChain = {
      head: chain.head,
      at: (epoch) => {
        count++;
        return chain.at(epoch);
      },
    };
    assert.deepEqual(tree.best(counting, undefined, 1), { epoch: applied, next: line.slice(applied, applied + 1) });
    return count;
  }

  it('does not grow with the epochs behind, and hardly with those ahead', () => {
    assert.equal(looks(4_000, 3_999, 0), looks(1_000, 999, 0));
    // Ten seats, 4,000 epochs still to apply after a restart, a branch of 4,000 beside: 2 log2(4,000) = 24 jumps at most, two looks each.
    for (const [known, applied, side] of [
      [4_000, 0, 0],
      [4_000, 1_234, 0],
      [4_000, 3_999, 4_000],
    ] as const)
      assert.ok(looks(known, applied, side) < 10 * 3 * 24, `${looks(known, applied, side)} looks`);
  });
});
