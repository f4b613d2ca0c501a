import assert from 'node:assert/strict';
import fc from 'fast-check';
import { answerSync, LedgerGraph, SyncClient } from '../../../src/ledger/index.ts';
import { decodeRequest, encodeResponse, type SyncResponse } from '../../../src/ledger/syncMessages.ts';
import { type SignedEntry, StarlingError } from '../../../src/spec/index.ts';
import { encode } from '../../../src/wire/index.ts';
import { draft, grow, hashOf, type Step } from './entries.ts';
import { code, extend, HEAD, idsOf, pairOf, sync } from './syncing.ts';

const step: fc.Arbitrary<Step> = fc.record({ author: fc.nat(4), back: fc.nat(40), deps: fc.array(fc.nat(), { maxLength: 3 }) });
const history = fc.record({
  shared: fc.array(step, { maxLength: 20 }),
  left: fc.array(step, { maxLength: 20 }),
  right: fc.array(step, { maxLength: 20 }),
});
type History = typeof history extends fc.Arbitrary<infer T> ? T : never;

function grown({ shared, left, right }: History): [LedgerGraph, LedgerGraph] {
  const [a, b] = [new LedgerGraph(), new LedgerGraph()];
  shared.forEach((s, i) => {
    b.add(grow(a, s, `both ${i}`));
  });
  left.forEach((s, i) => {
    grow(a, s, `left ${i}`);
  });
  right.forEach((s, i) => {
    grow(b, s, `right ${i}`);
  });
  return [a, b];
}
const unionOf = (...graphs: readonly LedgerGraph[]): string[] => [...new Set(graphs.flatMap(idsOf))].sort();

describe('ledger/sync with partners that fail', () => {
  it('loses nothing at a cut and moves nothing twice: a new exchange goes on where the last one stopped', () => {
    const limits = fc.record({ pageBytes: fc.constantFrom(1, 700, 2_000), pageTips: fc.constantFrom(1, 3, 1_000) });
    const cuts = fc.array(fc.record({ afterRounds: fc.nat(12), answerLost: fc.boolean() }), { maxLength: 6 });
    fc.assert(
      fc.property(history, limits, cuts, (h, bounds, plan) => {
        const [a, b] = grown(h);
        const union = unionOf(a, b);
        const moves = 2 * union.length - a.size - b.size;
        let moved = 0;
        for (const { afterRounds, answerLost } of plan) {
          const client = new SyncClient(a, HEAD, bounds);
          for (let round = 0; round < afterRounds; round++) {
            const request = client.next();
            if (request === undefined) break;
            const { response, pushed } = answerSync(b, HEAD, request, bounds);
            for (const entry of pushed) assert.ok(b.add(entry));
            moved += pushed.length;
            if (answerLost && round === afterRounds - 1) break;
            const pulled = client.receive(response);
            for (const entry of pulled) assert.ok(a.add(entry));
            moved += pulled.length;
          }
        }
        const { pulled, pushed } = sync(a, b, bounds);
        assert.deepEqual([idsOf(a), idsOf(b)], [union, union]);
        assert.equal(moved + pulled.length + pushed.length, moves);
      }),
      { numRuns: 150 },
    );
  });

  it('sends a request again as it was until it is answered', () => {
    fc.assert(
      fc.property(history, (h) => {
        const [a, b] = grown(h);
        const union = unionOf(a, b);
        const client = new SyncClient(a, HEAD, { pageBytes: 700, pageTips: 3 });
        for (let request = client.next(); request !== undefined; request = client.next()) {
          for (const entry of answerSync(b, HEAD, request).pushed) b.add(entry); // its answer is lost
          const again = client.next() as Uint8Array;
          assert.deepEqual(again, request);
          const { response, pushed } = answerSync(b, HEAD, again);
          for (const entry of pushed) assert.equal(b.add(entry), false);
          for (const entry of client.receive(response)) a.add(entry);
        }
        assert.deepEqual([idsOf(a), idsOf(b)], [union, union]);
      }),
      { numRuns: 50 },
    );
  });

  it('comes to the union while both sides go on growing', () => {
    fc.assert(
      fc.property(history, fc.array(step, { maxLength: 30 }), (h, meanwhile) => {
        const [a, b] = grown(h);
        const bounds = { pageBytes: 700, pageTips: 3 };
        const client = new SyncClient(a, HEAD, bounds);
        let rounds = 0;
        for (let request = client.next(); request !== undefined; request = client.next()) {
          const [s, side] = [meanwhile[rounds], rounds % 2 === 0 ? a : b];
          if (s !== undefined) grow(side, s, `meanwhile ${rounds}`);
          const { response, pushed } = answerSync(b, HEAD, request, bounds);
          for (const entry of pushed) if (b.missingParents(entry).length === 0) b.add(entry);
          for (const entry of client.receive(response)) if (a.missingParents(entry).length === 0) a.add(entry);
          rounds += 1;
          assert.ok(rounds < 500);
        }
        const union = unionOf(a, b);
        sync(a, b);
        assert.deepEqual([idsOf(a), idsOf(b)], [union, union]);
      }),
      { numRuns: 80 },
    );
  });

  describe('that lie', () => {
    const hex = (bytes: number) => fc.uint8Array({ minLength: bytes, maxLength: bytes }).map((b) => Buffer.from(b).toString('hex'));
    const entry = fc
      .tuple(fc.nat(6), fc.nat(1_000))
      .map(([author, salt]) => draft({ author: hashOf(`author ${author}`), salt: `${salt}` }));
    const answers = fc.array(
      fc.oneof(
        fc.record({
          kind: fc.constant('tips' as const),
          tips: fc.array(fc.record({ key: hex(3), seq: fc.oneof(fc.nat(50), fc.maxSafeNat()), tag: hex(6) }), { maxLength: 4 }),
        }),
        fc.record({
          kind: fc.constant('split' as const),
          tags: fc.array(fc.option(hex(6), { nil: undefined }), { minLength: 16, maxLength: 16 }),
        }),
      ),
      { maxLength: 5 },
    );
    const lie: fc.Arbitrary<SyncResponse> = fc.oneof(
      fc.constantFrom<SyncResponse>({ type: 'equal', head: HEAD }, { type: 'ok' }),
      answers.map((list): SyncResponse => ({ type: 'ranges', answers: list })),
      answers.map((list): SyncResponse => ({ type: 'differs', head: HEAD, answers: list })),
      fc.array(fc.boolean(), { maxLength: 12 }).map((known): SyncResponse => ({ type: 'known', known })),
      fc
        .tuple(fc.array(entry, { maxLength: 3 }), fc.boolean())
        .map(([entries, more]): SyncResponse => ({ type: 'entries', entries, more })),
    );

    it('are left with a typed error or come to an end, and leave no mark: the next partner completes the union', () => {
      let refused = 0;
      const deed = fc.oneof(
        { weight: 3, arbitrary: fc.constant(null) },
        { weight: 1, arbitrary: lie.map((response) => ({ response })) },
        { weight: 1, arbitrary: fc.record({ flip: fc.nat() }) },
      );
      fc.assert(
        fc.property(history, fc.array(deed, { minLength: 1, maxLength: 30 }), (h, deeds) => {
          const [a, b] = grown(h);
          const union = unionOf(a, b);
          const client = new SyncClient(a, HEAD, { pageBytes: 700, pageTips: 3 });
          try {
            let rounds = 0;
            for (let request = client.next(); request !== undefined; request = client.next()) {
              const now = deeds[rounds % deeds.length] ?? null;
              let { response } = answerSync(b, HEAD, request, { pageBytes: 700, pageTips: 3 });
              if (now !== null && 'response' in now) response = encodeResponse(now.response);
              else if (now !== null)
                response[now.flip % response.length] = (response[now.flip % response.length] as number) ^ (1 << (now.flip % 8));
              // What is not in the union stands for what the rules refuse.
              for (const received of client.receive(response))
                if (union.includes(received.id) && a.missingParents(received).length === 0) a.add(received);
              rounds += 1;
              assert.ok(rounds < 2_000, 'it must end');
            }
          } catch (e) {
            assert.ok(e instanceof StarlingError, String(e));
            refused += 1;
          }
          sync(a, b);
          assert.deepEqual([idsOf(a), idsOf(b)], [union, union]);
        }),
        { numRuns: 200 },
      );
      assert.ok(refused > 50, `${refused} were caught`);
    });

    it('that answer for ever that they hold all that was named are stopped the first time', () => {
      const [a, b] = [new LedgerGraph(), new LedgerGraph()];
      for (const [i, salt] of ['both', 'theirs'].entries()) {
        const made = grow(b, { author: 0, back: 0, deps: [] }, salt);
        if (i === 0) a.add(made);
      }
      const client = new SyncClient(a, HEAD);
      client.receive(answerSync(b, HEAD, client.next() as Uint8Array).response);
      const request = decodeRequest(client.next() as Uint8Array);
      assert.equal(request.type, 'want');
      const known = request.type === 'want' ? request.have.map(() => true) : [];
      assert.throws(
        () => client.receive(encodeResponse({ type: 'known', known })),
        (e: unknown) => code('PROTOCOL_VIOLATION')(e) && (e as StarlingError).facts.field === 'sync.known',
      );
    });

    it('that cut their frontier forever are stopped by the number of ranges', () => {
      const endless = new SyncClient(new LedgerGraph(), HEAD);
      const split = { kind: 'split', tags: Array.from({ length: 16 }, () => '0123456789ab') } as const;
      endless.next();
      endless.receive(encodeResponse({ type: 'differs', head: HEAD, answers: [split] }));
      let rounds = 0;
      const goOn = (): void => {
        for (; rounds < 1_000; rounds++) {
          const request = decodeRequest(endless.next() as Uint8Array);
          assert.equal(request.type, 'look');
          const count = request.type === 'look' ? request.asks.length : 0;
          endless.receive(encodeResponse({ type: 'ranges', answers: Array.from({ length: count }, () => split) }));
        }
      };
      assert.throws(goOn, (e: unknown) => code('PROTOCOL_VIOLATION')(e) && (e as StarlingError).facts.field === 'sync.ranges');
      assert.ok(rounds < 100, `${rounds} rounds`);
    });

    it('that list tips without end are stopped by their number', () => {
      const client = new SyncClient(new LedgerGraph(), HEAD);
      client.next();
      const split = { kind: 'split', tags: Array.from({ length: 16 }, () => '0123456789ab') } as const;
      client.receive(encodeResponse({ type: 'differs', head: HEAD, answers: [split] }));
      const list = Array.from({ length: 60_000 }, (_, i) => ({ key: '000000', seq: i, tag: '0123456789ab' }));
      const goOn = (): void => {
        for (let i = 0; i < 20; i++) {
          const request = decodeRequest(client.next() as Uint8Array);
          const key = (request.type === 'look' ? (request.asks[0]?.prefix ?? '') : '').padEnd(6, '0').slice(0, 6);
          client.receive(encodeResponse({ type: 'ranges', answers: [{ kind: 'tips', tips: list.map((tip) => ({ ...tip, key })) }] }));
        }
      };
      assert.throws(goOn, (e: unknown) => code('PROTOCOL_VIOLATION')(e) && (e as StarlingError).facts.field === 'sync.tips');
    });

    it('that send entries which nobody can take are stopped by their number', () => {
      const author = hashOf('flood');
      const client = new SyncClient(new LedgerGraph(), HEAD);
      client.next();
      const tip = { key: author.slice(0, 6), seq: 2 ** 40, tag: '0123456789ab' };
      client.receive(encodeResponse({ type: 'differs', head: HEAD, answers: [{ kind: 'tips', tips: [tip] }] }));
      let prev: SignedEntry | undefined = draft({ author });
      let sent = 0;
      const goOn = (): void => {
        for (let i = 0; i < 10_000; i += 50) {
          client.next();
          const page: SignedEntry[] = [];
          for (let k = 0; k < 50; k++) {
            prev = draft({ author, prev });
            page.push(prev);
          }
          sent += client.receive(encodeResponse({ type: 'entries', entries: page, more: true })).length;
        }
      };
      assert.throws(goOn, code('PROTOCOL_VIOLATION'));
      assert.ok(sent > 4_096 && sent <= 4_096 + 50, `${sent} entries`);
    });
  });

  it('stops a peer that answers something else, runs in circles, or forgets', () => {
    const theirs = new LedgerGraph();
    for (let i = 0; i < 40; i++) grow(theirs, { author: i, back: 0, deps: [] }, '');
    const small = { pageBytes: 1, pageTips: 1 };
    const fresh = (): SyncClient => {
      const client = new SyncClient(new LedgerGraph(), HEAD, small);
      client.next();
      return client;
    };
    const violates = (client: SyncClient, answer: unknown[], field: string): void =>
      assert.throws(
        () => client.receive(encode(answer)),
        (e: unknown) => code('PROTOCOL_VIOLATION')(e) && (e as StarlingError).facts.field === field,
      );
    violates(fresh(), ['ok'], 'sync.type');
    violates(fresh(), ['entries', [], false], 'sync.type');
    violates(fresh(), ['differs', 0, 0, new Uint8Array(32), new Uint8Array(0)], 'sync.ranges');
    violates(fresh(), ['differs', 0, 0, new Uint8Array(32), Uint8Array.of(1, 0, 1, 0)], 'sync.ranges');
    assert.throws(() => fresh().receive(encode(['differs', 0, 0, new Uint8Array(32), Uint8Array.of(2)])), code('MALFORMED'));
    assert.throws(() => fresh().receive(encode(['differs', 0, 0, new Uint8Array(32), Uint8Array.of(1, 2, 0)])), code('MALFORMED'));

    const pulling = fresh();
    let page = new Uint8Array();
    for (let got = 0; got === 0; ) {
      page = Uint8Array.from(answerSync(theirs, HEAD, pulling.next() as Uint8Array, small).response);
      got = pulling.receive(page).length;
    }
    assert.throws(() => pulling.receive(page), code('PROTOCOL_VIOLATION'), 'the same entries again');
    violates(pulling, ['entries', [], true], 'sync.entries');
    violates(pulling, ['known', Uint8Array.of(1)], 'sync.known');
    const stranger = draft({ author: hashOf('stranger') });
    assert.throws(() => pulling.receive(encodeResponse({ type: 'entries', entries: [stranger], more: true })), code('PROTOCOL_VIOLATION'));

    const [a, b] = pairOf([draft({ author: hashOf('twice') })]);
    extend(a, hashOf('twice'), 'a', 40);
    extend(b, hashOf('twice'), 'b', 30);
    const probing = new SyncClient(a, HEAD);
    for (let i = 0; i < 2; i++) probing.receive(answerSync(b, HEAD, probing.next() as Uint8Array).response);
    assert.equal(decodeRequest(probing.next() as Uint8Array).type, 'probe');
    violates(probing, ['known', Uint8Array.of(1)], 'sync.known');
    assert.throws(() => probing.receive(encode(['known', Uint8Array.of(2)])), code('MALFORMED'));
  });
});
