import assert from 'node:assert/strict';
import fc from 'fast-check';
import { answerSync, LedgerGraph, SYNC_LIMITS, SyncClient } from '../../../src/ledger/index.ts';
import { encodeRequest } from '../../../src/ledger/syncMessages.ts';
import { FRAME_MAX_BYTES, type SignedEntry, StarlingError } from '../../../src/spec/index.ts';
import { encode } from '../../../src/wire/index.ts';
import { draft, grow, hashOf, type Step } from './entries.ts';
import { bytesOf, code, HEAD, idsOf, sync } from './syncing.ts';

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

  it('refuses frames that are not in its language', () => {
    const graph = new LedgerGraph();
    grow(graph, { author: 1, back: 0, deps: [] }, '');
    const hello = encodeRequest({ type: 'hello', head: HEAD, digest: hashOf('') });
    assert.throws(() => answerSync(graph, HEAD, new Uint8Array(FRAME_MAX_BYTES + 1)), code('TOO_LARGE'));
    assert.throws(() => answerSync(graph, HEAD, hello.subarray(1)), code('MALFORMED'));
    const [salt, point] = [new Uint8Array(8), new Uint8Array(10)];
    for (const frame of [
      encode(['hello', -1, 0, new Uint8Array(32), new Uint8Array(32)]),
      encode(['hello', 1, 0, new Uint8Array(32)]),
      encode(['shout']),
      encode(['probe', new Uint8Array(7), point]),
      encode(['probe', salt, point.subarray(1)]),
      encode(['probe', salt, new Uint8Array(10).fill(255)]),
      encode(['want', salt, point, point, [0, new Uint8Array(32)]]),
      encode(['want', salt, point, point.subarray(1), null]),
      encode(['look', salt, Uint8Array.of(2)]),
      encode(['look', salt, Uint8Array.of(1, 0x20, 1, 0x10)]),
      encode(['look', salt, Uint8Array.of(1, 0x20, 2, 0x21)]),
      encode([
        'look',
        salt,
        Uint8Array.from({ length: 4_097 * 3 }, (_, i) => [4, Math.floor(i / 3) >> 8, Math.floor(i / 3) & 255][i % 3] as number),
      ]),
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
});
