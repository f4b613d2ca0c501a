import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Replica } from '../../../src/epoch/replica.ts';
import { MemoryEntryStore } from '../../../src/simulation/stores.ts';
import type { AnyEntryCore, SignedEntry } from '../../../src/spec/index.ts';
import { identityOf, signed, TestSwarm } from '../../support/epochWorld.ts';
import { draft, hashOf } from '../ledger/entries.ts';

const code = (expected: string) => (e: unknown) => (e as { code?: string }).code === expected;

/** Three authors that read each other: nine entries with deps across. */
function history(): { readonly swarm: TestSwarm; readonly entries: readonly SignedEntry[] } {
  const swarm = new TestSwarm({ nodes: 3 });
  for (let round = 0; round < 3; round++) {
    for (const node of swarm.nodes) {
      if (round === 0) node.join();
      else
        node.ctx.replica.append(
          'decision',
          { epoch: round, prev: swarm.id, roster: [], weights: [], aggregateHash: hashOf(`${round}`), dropped: [] },
          swarm.id,
          0,
        );
      if (node.index !== round) swarm.share();
    }
  }
  swarm.share();
  return { swarm, entries: [...swarm.node(0).ctx.replica.graph.entries()] };
}

const HISTORY = history();
const reader = (store = new MemoryEntryStore()): Replica => new Replica({ swarm: HISTORY.swarm.id, identity: identityOf(7), store });
const idsOf = (entries: Iterable<SignedEntry>): string[] => [...entries].map((e) => e.id).sort();
const parentsOf = ({ core }: SignedEntry): string[] => [...(core.prev === null ? [] : [core.prev]), ...core.deps];

describe('the ledger of one node', () => {
  it('takes the same entries in any order and any portions, parents first on disk', () => {
    assert.ok(HISTORY.entries.some((e) => e.core.deps.length > 1));
    fc.assert(
      fc.property(fc.array(fc.nat(), { minLength: 9, maxLength: 9 }), fc.integer({ min: 1, max: 9 }), (keys, portion) => {
        const order = HISTORY.entries.map((entry, i) => ({ entry, key: keys[i] as number })).sort((a, b) => a.key - b.key);
        const store = new MemoryEntryStore();
        const replica = reader(store);
        for (let at = 0; at < order.length; at += portion) {
          const { missing, rejected } = replica.offer(order.slice(at, at + portion).map(({ entry }) => entry));
          assert.deepEqual(rejected, []);
          for (const id of missing) assert.equal(replica.graph.has(id), false);
        }
        assert.deepEqual(idsOf(replica.graph.entries()), idsOf(HISTORY.entries));
        const seen = new Set<string>();
        for (const entry of store.all()) {
          assert.ok(parentsOf(entry).every((id) => seen.has(id)));
          seen.add(entry.id);
        }
        assert.equal(seen.size, HISTORY.entries.length);
      }),
      { numRuns: 60 },
    );
  });

  it('asks for the parents that nobody has sent, and for no others', () => {
    const replica = reader();
    const [join] = HISTORY.entries as [SignedEntry];
    const child = HISTORY.entries.find((e) => e.core.prev === join.id) as SignedEntry;
    const grandchild = HISTORY.entries.find((e) => e.core.prev === child.id) as SignedEntry;
    assert.deepEqual([...replica.offer([child]).missing].sort(), parentsOf(child).sort());
    // What waits itself is not asked for: its own parents were.
    assert.ok(!replica.offer([grandchild]).missing.includes(child.id));
  });

  it('tells of an entry once it is on disk, each once', () => {
    const store = new MemoryEntryStore();
    const replica = reader(store);
    const told: string[] = [];
    replica.onAccepted((entry) => {
      assert.equal(store.has(entry.id), true);
      told.push(entry.id);
    });
    for (const entry of [...HISTORY.entries].reverse()) replica.offer([entry, entry]);
    replica.offer(HISTORY.entries);
    assert.deepEqual(told.sort(), idsOf(HISTORY.entries));
  });

  it('is the same after a restart', () => {
    const store = new MemoryEntryStore();
    reader(store).offer(HISTORY.entries);
    assert.deepEqual(idsOf(reader(store).graph.entries()), idsOf(HISTORY.entries));
  });

  it('keeps 4,096 entries that wait, and lets the oldest go', () => {
    const replica = reader();
    const waiting = (i: number): SignedEntry =>
      draft({
        author: hashOf('stranger'),
        salt: `${i}`,
        change: { swarm: HISTORY.swarm.id, seq: 1, prev: hashOf(`parent ${i}`) } as Partial<AnyEntryCore>,
      });
    const [oldest, ...others] = Array.from({ length: 4_095 }, (_, i) => waiting(i)) as [SignedEntry, ...SignedEntry[]];
    replica.offer([oldest, ...others]);
    /** Waits for `parent` itself, and asks for it exactly when that does not wait here. */
    const asksFor = (parent: SignedEntry, salt: string): boolean => {
      const change = { swarm: HISTORY.swarm.id, seq: 2, prev: parent.id } as Partial<AnyEntryCore>;
      return replica.offer([draft({ author: hashOf('stranger'), salt, change })]).missing.includes(parent.id);
    };
    assert.equal(asksFor(oldest, 'the last that fits'), false);
    assert.equal(asksFor(oldest, 'one too many'), true);
    assert.equal(asksFor(others[4_000] as SignedEntry, 'another'), false);
  });

  it('judges a waiting entry when its parent comes, and lets it go when it breaks a rule', () => {
    const replica = reader();
    const { swarm, entries } = HISTORY;
    const author = swarm.node(0).identity;
    const chain = entries.filter((e) => e.core.author === author.fingerprint);
    const [join, second] = chain as [SignedEntry, SignedEntry];
    const wrong = signed(author, { ...second.core, lam: second.core.lam + 1 } as AnyEntryCore);
    replica.offer([wrong]);
    const { rejected } = replica.offer(entries.filter((e) => parentsOf(second).includes(e.id) || e.core.kind === 'join'));
    assert.deepEqual(
      rejected.map((r) => [r.entry.id, r.code]),
      [[wrong.id, 'BAD_LAMPORT']],
    );
    assert.deepEqual(replica.offer(entries).rejected, [], 'and not judged again');
    const child = signed(author, { ...wrong.core, seq: 2, prev: wrong.id, deps: [] } as AnyEntryCore);
    assert.deepEqual(replica.offer([child]).missing, [wrong.id], 'nor kept waiting');
    assert.equal(replica.graph.has(join.id), true);
  });

  it('keeps both sides of a fork', () => {
    const replica = reader();
    replica.offer(HISTORY.entries);
    const { identity } = HISTORY.swarm.node(1);
    const tip = HISTORY.entries.filter((e) => e.core.author === identity.fingerprint).at(-1) as SignedEntry;
    const other = signed(identity, { ...tip.core, epochSeen: 9 } as AnyEntryCore);
    assert.deepEqual(idsOf(replica.offer([other]).accepted), [other.id]);
    assert.equal(replica.graph.forksOf(identity.fingerprint).length, 1);
  });

  it('signs its own chain so that others accept it: numbers, lam, deps', () => {
    const swarm = new TestSwarm({ nodes: 2 }).joined();
    const [one, two] = [swarm.node(0), swarm.node(1)];
    const body = { epoch: 1, prev: swarm.id, roster: [], weights: [], aggregateHash: hashOf('x'), dropped: [] };
    const entry = one.ctx.replica.append('decision', body, swarm.id, 3);
    assert.deepEqual(
      [entry.core.seq, entry.core.prev, entry.core.lam, entry.core.deps, entry.core.epochSeen, entry.core.anchorBlock],
      [1, one.ctx.replica.graph.joinOf(one.identity.fingerprint)?.id, 2, [two.ctx.replica.tip?.id], 3, swarm.id],
    );
    assert.deepEqual(idsOf(two.ctx.replica.offer([entry]).accepted), [entry.id]);
    assert.equal(one.ctx.replica.tip, entry);
  });

  it('stops when its own hand is seen elsewhere, but takes back what an old copy of itself had written', () => {
    const { swarm, entries } = HISTORY;
    const { identity } = swarm.node(2);
    const own = entries.filter((e) => e.core.author === identity.fingerprint);
    const restored = new Replica({ swarm: swarm.id, identity, store: new MemoryEntryStore() });
    assert.deepEqual(restored.offer(entries).rejected, [], 'before the first append: a backup was restored');
    assert.equal(restored.tip?.id, own.at(-1)?.id);
    restored.append(
      'decision',
      { epoch: 9, prev: swarm.id, roster: [], weights: [], aggregateHash: hashOf('9'), dropped: [] },
      swarm.id,
      0,
    );
    const elsewhere = signed(identity, {
      ...(own.at(-1) as SignedEntry).core,
      seq: 3,
      prev: own.at(-1)?.id as string,
      lam: 99,
      deps: [],
    } as AnyEntryCore);
    const valid = signed(identity, { ...elsewhere.core, lam: (own.at(-1) as SignedEntry).core.lam + 1 } as AnyEntryCore);
    assert.deepEqual(
      restored.offer([elsewhere]).rejected.map((r) => r.code),
      ['BAD_LAMPORT'],
      'what is not valid proves nothing',
    );
    assert.throws(() => restored.offer([valid]), code('IDENTITY_IN_USE'));
  });

  it('never has a child on disk without its parent, though the disk was full for a while', () => {
    const store = new MemoryEntryStore();
    const replica = reader(store);
    const told: string[] = [];
    replica.onAccepted((entry) => told.push(entry.id));
    const append = store.append.bind(store);
    store.append = () => {
      throw new Error('disk full');
    };
    assert.throws(() => replica.offer(HISTORY.entries.slice(0, 4)), /disk full/);
    assert.deepEqual([told, store.size()], [[], 0]);
    store.append = append;
    replica.offer(HISTORY.entries.slice(4));
    assert.deepEqual(told.sort(), idsOf(HISTORY.entries));
    assert.deepEqual(idsOf(reader(store).graph.entries()), idsOf(HISTORY.entries));
  });

  it('keeps what its disk holds without what it stands on, until that comes; then over a restart too', () => {
    const [first] = HISTORY.entries as [SignedEntry];
    const store = new MemoryEntryStore();
    store.append(HISTORY.entries.filter((entry) => entry !== first));
    const owner = (): Replica => new Replica({ swarm: HISTORY.swarm.id, identity: HISTORY.swarm.node(0).identity, store });
    assert.equal(first.core.author, HISTORY.swarm.node(0).identity.fingerprint);
    const replica = owner();
    assert.ok(replica.isCutOff && replica.graph.size < HISTORY.entries.length - 1);
    // However many others wait.
    const swarm = HISTORY.swarm.id;
    const strangers = Array.from({ length: 4_100 }, (_, i) => {
      const before = draft({ author: hashOf('stranger'), salt: `${i}` });
      return draft({ author: hashOf('stranger'), prev: before, change: { swarm } });
    });
    assert.equal(replica.offer(strangers).missing.length, strangers.length);
    const { accepted } = replica.offer([first]);
    assert.ok(accepted.length > 1);
    for (const one of [replica, owner()]) {
      assert.deepEqual(idsOf(one.graph.entries()), idsOf(HISTORY.entries));
      assert.equal(one.isCutOff, false);
      assert.equal(one.tip?.core.seq, 2);
    }
  });
});
