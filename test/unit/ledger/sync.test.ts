import assert from 'node:assert/strict';
import fc from 'fast-check';
import { answerSync, LedgerGraph, SYNC_LIMITS, SyncClient, type SyncHead, type SyncLimits } from '../../../src/ledger/index.ts';
import { encodeRequest } from '../../../src/ledger/syncMessages.ts';
import { FRAME_MAX_BYTES, type SignedEntry, StarlingError } from '../../../src/spec/index.ts';
import { encode } from '../../../src/wire/index.ts';
import { draft, grow, hashOf, type Step } from './entries.ts';

const HEAD: SyncHead = { epoch: 3, size: 12, root: hashOf('root') };
const bytesOf = (entries: readonly SignedEntry[]): number =>
  entries.reduce((sum, e) => sum + e.coreBytes.byteLength + e.signature.byteLength + (e.composite?.byteLength ?? 0), 0);
const idsOf = (graph: LedgerGraph): string[] => [...graph.entries()].map((e) => e.id).sort();

interface Traffic {
  /** Of frames, without the entries in them. */
  metadataBytes: number;
  rounds: number;
  pulled: SignedEntry[];
  pushed: SignedEntry[];
}

/** Runs a sync of `a` with `b`; every received entry goes into the graph, so a child before its parent throws. */
function sync(a: LedgerGraph, b: LedgerGraph, limits: SyncLimits = SYNC_LIMITS): Traffic {
  const traffic: Traffic = { metadataBytes: 0, rounds: 0, pulled: [], pushed: [] };
  const client = new SyncClient(a, HEAD, limits);
  for (let request = client.next(); request !== undefined; request = client.next()) {
    const { response, pushed } = answerSync(b, HEAD, request, limits);
    for (const entry of pushed) assert.ok(b.add(entry), 'pushed an entry that the peer held');
    const pulled = client.receive(response);
    for (const entry of pulled) assert.ok(a.add(entry), 'pulled an entry that was held');
    assert.ok(request.byteLength <= FRAME_MAX_BYTES && response.byteLength <= FRAME_MAX_BYTES);
    traffic.metadataBytes += request.byteLength + response.byteLength - bytesOf(pulled) - bytesOf(pushed);
    traffic.pulled.push(...pulled);
    traffic.pushed.push(...pushed);
    traffic.rounds += 1;
    assert.ok(traffic.rounds < 1_000, 'a sync must end');
  }
  assert.deepEqual(client.peer, HEAD);
  return traffic;
}

describe('ledger/sync', () => {
  const step: fc.Arbitrary<Step> = fc.record({
    author: fc.nat(4),
    back: fc.nat(40),
    deps: fc.array(fc.nat(), { maxLength: 3 }),
  });
  const history = fc.record({
    shared: fc.array(step, { maxLength: 40 }),
    left: fc.array(step, { maxLength: 25 }),
    right: fc.array(step, { maxLength: 25 }),
    pageBytes: fc.constantFrom(1, 700, 5_000),
    pageTips: fc.constantFrom(1, 3, 1_000),
  });

  it('leaves both sides with the union, both sides of every fork with it, and then has nothing to say', () => {
    let forks = 0;
    fc.assert(
      fc.property(history, ({ shared, left, right, ...limits }) => {
        const a = new LedgerGraph();
        const b = new LedgerGraph();
        shared.forEach((s, i) => {
          b.add(grow(a, s, `both ${i}`));
        });
        left.forEach((s, i) => {
          grow(a, s, `left ${i}`);
        });
        right.forEach((s, i) => {
          grow(b, s, `right ${i}`);
        });
        const union = [...new Set([...idsOf(a), ...idsOf(b)])].sort();
        const { pulled, pushed } = sync(a, b, limits);
        assert.deepEqual(idsOf(a), union);
        assert.deepEqual(idsOf(b), union);
        assert.equal(pulled.length + pushed.length, 2 * union.length - (union.length + shared.length));
        forks += a.forks().length;
        assert.deepEqual(a.forks(), b.forks());
        assert.equal(sync(a, b, limits).rounds, 1);
      }),
      { numRuns: 150 },
    );
    assert.ok(forks > 50, `the histories must fork, ${forks} did`);
  });

  it('finds a fork far back in a long chain in a few small frames, and moves only what differs', () => {
    const author = hashOf('twice');
    for (const at of [0, 1, 137, 998, 999]) {
      const [a, b] = [new LedgerGraph(), new LedgerGraph()];
      for (const [graph, name] of [
        [a, 'a'],
        [b, 'b'],
      ] as const) {
        let prev: SignedEntry | undefined;
        for (let i = 0; i < 1_000; i++) {
          prev = draft({ author, prev, salt: i < at ? 'same' : name });
          graph.add(prev);
        }
      }
      const { metadataBytes, rounds, pulled, pushed } = sync(a, b);
      assert.equal(pulled.length, 1_000 - at);
      assert.equal(pushed.length, 1_000 - at);
      assert.deepEqual(idsOf(a), idsOf(b));
      assert.deepEqual(
        a.forks().map((fork) => [fork.seq, fork.ids.length]),
        [[at, 2]],
      );
      const perEntry = 10 * (pulled.length + pushed.length);
      assert.ok(rounds <= 12 && metadataBytes <= 1_500 + perEntry, `fork at ${at}: ${rounds} rounds, ${metadataBytes} bytes`);
    }
  });

  describe('with 200 authors and 100,000 entries on both sides', () => {
    const authors = Array.from({ length: 200 }, (_, i) => hashOf(`author ${i}`));
    /** Entries that are never sent need no bytes. */
    const base: SignedEntry[] = [];
    const last = new Map<string, SignedEntry>();
    before(() => {
      const { core } = draft({ author: hashOf('template') });
      for (let i = 0; i < 100_000; i++) {
        const author = authors[i % 200] as string;
        const prev = last.get(author);
        const place = { author, seq: prev === undefined ? 0 : prev.core.seq + 1, prev: prev?.id ?? null, lam: 1 + (prev?.core.lam ?? 0) };
        const entry = { id: hashOf(`base ${i}`), core: { ...core, ...place }, coreBytes: new Uint8Array(), signature: new Uint8Array() };
        base.push(entry);
        last.set(author, entry);
      }
    });
    const pair = (): [LedgerGraph, LedgerGraph] => {
      const graphs: [LedgerGraph, LedgerGraph] = [new LedgerGraph(), new LedgerGraph()];
      for (const graph of graphs) for (const entry of base) graph.add(entry);
      return graphs;
    };
    const extend = (graph: LedgerGraph, i: number, salt: string): void => {
      const author = authors[i] as string;
      graph.add(draft({ author, prev: graph.get(graph.heads(author)[0] as string), salt }));
    };

    it('says that both are equal in 200 bytes', () => {
      const [a, b] = pair();
      const { metadataBytes, rounds } = sync(a, b);
      assert.equal(rounds, 1);
      assert.ok(metadataBytes <= 200, `${metadataBytes} bytes`);
    });

    it('tells 100 differences over all authors in 8 KiB', () => {
      const [a, b] = pair();
      for (let k = 0; k < 50; k++) {
        extend(a, 2 * k, 'a');
        extend(b, 2 * k + 1, 'b');
      }
      const { metadataBytes, pulled, pushed } = sync(a, b);
      assert.deepEqual([pulled.length, pushed.length], [50, 50]);
      assert.deepEqual(idsOf(a), idsOf(b));
      assert.ok(metadataBytes <= 8 * 1024, `${metadataBytes} bytes`);
    });

    it('tells three forked authors besides in 11 KiB', () => {
      const [a, b] = pair();
      for (let k = 0; k < 50; k++) {
        extend(a, 2 * k, 'a');
        extend(b, 2 * k + 1, 'b');
      }
      for (const i of [190, 191, 192]) {
        extend(a, i, 'one side');
        extend(b, i, 'other side');
      }
      const { metadataBytes } = sync(a, b);
      assert.equal(a.forks().length, 3);
      assert.deepEqual(idsOf(a), idsOf(b));
      assert.ok(metadataBytes <= 11 * 1024, `${metadataBytes} bytes`);
    });
  });

  it('hands over entries a page at a time', () => {
    const [a, b] = [new LedgerGraph(), new LedgerGraph()];
    for (let i = 0; i < 300; i++) grow(b, { author: i % 3, back: 0, deps: [1] }, `${i}`);
    const sizes: number[] = [];
    const client = new SyncClient(a, HEAD);
    for (let request = client.next(); request !== undefined; request = client.next()) {
      const entries = client.receive(answerSync(b, HEAD, request, { ...SYNC_LIMITS, pageBytes: 10_000 }).response);
      for (const entry of entries) a.add(entry);
      if (entries.length > 0) sizes.push(bytesOf(entries));
    }
    assert.equal(a.size, 300);
    assert.ok(sizes.length > 5 && Math.max(...sizes) <= 10_000);
  });

  it('goes on when the rules refuse what the peer sends, and still pushes no more than the peer lacks', () => {
    const [a, b] = [new LedgerGraph(), new LedgerGraph()];
    let shared: SignedEntry | undefined;
    for (let i = 0; i < 10; i++) {
      shared = draft({ author: hashOf('twice'), prev: shared });
      for (const graph of [a, b]) graph.add(shared);
    }
    b.add(draft({ author: hashOf('twice'), prev: shared, salt: 'refused' }));
    const mine = draft({ author: hashOf('twice'), prev: shared, salt: 'mine' });
    a.add(mine);
    const client = new SyncClient(a, HEAD);
    const sent: SignedEntry[] = [];
    for (let request = client.next(); request !== undefined; request = client.next()) {
      const { response, pushed } = answerSync(b, HEAD, request);
      sent.push(...pushed);
      client.receive(response);
    }
    assert.deepEqual(
      sent.map((entry) => entry.id),
      [mine.id],
    );
    assert.equal(a.size, 11);
  });

  const code = (expected: string) => (e: unknown) => e instanceof StarlingError && e.code === expected;

  it('refuses frames that are not in its language', () => {
    const graph = new LedgerGraph();
    grow(graph, { author: 1, back: 0, deps: [] }, '');
    const hello = encodeRequest({ type: 'hello', head: HEAD, digest: hashOf('') });
    assert.throws(() => answerSync(graph, HEAD, new Uint8Array(FRAME_MAX_BYTES + 1)), code('TOO_LARGE'));
    assert.throws(() => answerSync(graph, HEAD, hello.subarray(1)), code('MALFORMED'));
    for (const frame of [
      encode(['hello', -1, 0, new Uint8Array(32), new Uint8Array(32)]),
      encode(['hello', 1, 0, new Uint8Array(32)]),
      encode(['shout']),
      encode(['probe', new Uint8Array(15)]),
      encode(['want', new Uint8Array(16), new Uint8Array(16), [0, new Uint8Array(32)]]),
      encode(['tips', new Uint8Array(25)]),
      encode(['push', [new Uint8Array(5)]]),
      encode({ hello: 1 }),
    ]) {
      assert.throws(() => answerSync(graph, HEAD, frame), code('MALFORMED'));
    }
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        try {
          answerSync(graph, HEAD, bytes);
        } catch (e) {
          assert.ok(e instanceof StarlingError);
        }
      }),
    );
  });

  it('stops a peer that answers something else, or runs in circles', () => {
    const theirs = new LedgerGraph();
    for (let i = 0; i < 5; i++) grow(theirs, { author: i, back: 0, deps: [] }, '');
    const small = { pageBytes: 1, pageTips: 1 };
    const fresh = (): SyncClient => {
      const client = new SyncClient(new LedgerGraph(), HEAD, small);
      client.next();
      return client;
    };
    const answer = (client: SyncClient): Uint8Array => answerSync(theirs, HEAD, client.next() as Uint8Array, small).response;
    assert.throws(() => fresh().receive(encode(['ok'])), code('PROTOCOL_VIOLATION'));
    assert.throws(() => fresh().receive(encode(['entries', [], false])), code('PROTOCOL_VIOLATION'));
    assert.throws(() => fresh().receive(encode(['tips', 0, 0, new Uint8Array(32), new Uint8Array(0), true])), code('PROTOCOL_VIOLATION'));
    const circling = fresh();
    const page = answer(circling);
    circling.receive(page);
    assert.throws(() => circling.receive(page), code('PROTOCOL_VIOLATION'), 'the same tips again');
    const pulling = fresh();
    let entries = new Uint8Array();
    for (let got = 0; got === 0; ) {
      entries = Uint8Array.from(answer(pulling));
      got = pulling.receive(entries).length;
    }
    assert.throws(() => pulling.receive(entries), code('PROTOCOL_VIOLATION'), 'the same entries again');
    assert.throws(() => pulling.receive(encode(['known', Uint8Array.of(1)])), code('PROTOCOL_VIOLATION'));
  });
});
