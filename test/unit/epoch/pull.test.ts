import assert from 'node:assert/strict';
import fc from 'fast-check';
import { chunkAt, contentOf } from '../../../src/crypto/index.ts';
import type { Streams } from '../../../src/epoch/ports.ts';
import { pullContent } from '../../../src/epoch/pull.ts';
import { Pulls } from '../../../src/epoch/pulls.ts';
import { serveContent } from '../../../src/epoch/served.ts';
import { CHUNK_BYTES, type PeerId, StarlingError } from '../../../src/spec/index.ts';
import { decodeContentRequest, encode, encodeContentIndex } from '../../../src/wire/index.ts';

type Answer = (index: number | 'leaves' | 'held', honest: () => Promise<Uint8Array>) => Promise<Uint8Array>;

const bytesOf = (size: number, seed = 7): Uint8Array => new Uint8Array(size).map((_, i) => ((i * seed) >> 3) ^ (i >> 18));

/** Holders that each have `content`, and answer it through their own `Answer`. */
function world(content: Uint8Array, holders: Record<PeerId, Answer>) {
  const index = contentOf(content);
  const { root } = index;
  const asked: string[] = [];
  /** By holder: requests without an answer, and the most there were of chunks. */
  const owed = new Map<PeerId, number>();
  const most = new Map<PeerId, number>();
  const cancelled: string[] = [];
  const serve = serveContent({ index: async () => index, readChunk: async (_root, i) => chunkAt(content, i) });
  const streams: Pick<Streams, 'request'> = {
    request: (peer, protocol, payload, { signal }) => {
      assert.equal(protocol, 'content');
      const { index: chunk } = decodeContentRequest(payload);
      asked.push(`${peer} ${chunk}`);
      owed.set(peer, (owed.get(peer) ?? 0) + 1);
      most.set(peer, Math.max(most.get(peer) ?? 0, owed.get(peer) as number));
      return new Promise((resolve, reject) => {
        signal?.addEventListener('abort', () => {
          cancelled.push(`${peer} ${chunk}`);
          reject(signal.reason);
        });
        Promise.resolve()
          .then(() => (holders[peer] as Answer)(chunk, () => serve('us', payload)))
          .finally(() => owed.set(peer, (owed.get(peer) as number) - 1))
          .then(resolve, reject);
      });
    },
  };
  /** Chunks asked of each of these holders, in order. */
  const askedOf = (...peers: PeerId[]) =>
    asked
      .map((one) => one.split(' '))
      .flatMap(([peer, chunk]) => (peers.includes(peer as PeerId) && chunk !== 'leaves' && chunk !== 'held' ? [Number(chunk)] : []));
  return { streams, asked, askedOf, most, cancelled, root };
}

const honest: Answer = (_index, give) => give();
const gone: Answer = async () => {
  throw new StarlingError('UNREACHABLE', 'gone');
};
const hangs: Answer = () => new Promise(() => undefined);
const options = { timeoutMs: 1_000 };
const codeOf = (code: string) => (error: unknown) => error instanceof StarlingError && error.code === code;
const range = (n: number): number[] => [...Array(n).keys()];
const ascending = (numbers: number[]): number[] => numbers.sort((a, b) => a - b);

const leavesOf = (leaves: readonly Uint8Array[]) => encode([5 * CHUNK_BYTES + 10, Buffer.concat(leaves), null]);

/** Lies with which a holder's part ends; each is noticed at the first. */
const content = bytesOf(5 * CHUNK_BYTES + 10);
const other = bytesOf(5 * CHUNK_BYTES + 10, 11);
const LIES: Record<string, Answer> = {
  leaves: async (index, give) => (index === 'leaves' ? encodeContentIndex(contentOf(other)) : give()),
  twice: async (index, give) =>
    index === 'leaves' ? leavesOf(contentOf(content).leaves.with(3, contentOf(content).leaves[2] as Uint8Array)) : give(),
  gap: async (index, give) => (index === 'leaves' ? leavesOf(contentOf(content).leaves.toSpliced(3, 1)) : give()),
  swapped: async (index, give) => (index === 'leaves' ? leavesOf(contentOf(content).leaves.toReversed()) : give()),
  beyond: async (index, give) =>
    index === 'leaves' ? encode([content.length, Buffer.concat(contentOf(content).leaves), Uint8Array.of(0xff)]) : give(),
  terabyte: async (index, give) => (index === 'leaves' ? encode([2 ** 40, new Uint8Array(32), null]) : give()),
  garbage: async (index, give) => (index === 'leaves' ? new Uint8Array([1, 2]) : give()),
  chunk: async (index, give) => (typeof index !== 'number' ? give() : chunkAt(other, index)),
  order: async (index, give) => (typeof index !== 'number' ? give() : chunkAt(content, (index + 1) % 5)),
  short: async (index, give) => (index === 'leaves' ? give() : (await give()).subarray(0, 9)),
  empty: async (index, give) => (index === 'leaves' ? give() : new Uint8Array(0)),
};

describe('pulling content', () => {
  it('gives back the content of any size, from the leaves and each chunk once', async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 5 * CHUNK_BYTES - 3), async (size) => {
        const content = bytesOf(size);
        const { streams, asked, root } = world(content, { a: honest });
        const pulled = await pullContent(streams, ['a', 'a'], root, size, options);
        assert.ok(Buffer.from(pulled).equals(content));
        const chunks = Math.ceil(size / CHUNK_BYTES);
        assert.deepEqual([...asked].sort(), size === 0 ? [] : [...range(chunks).map((i) => `a ${i}`), 'a leaves'].sort());
      }),
      { numRuns: 12 },
    );
  });

  it('asks eight holders what they have, four of them for chunks at once, each for three at most and for one before its first', async () => {
    const content = bytesOf(40 * CHUNK_BYTES);
    const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i'];
    const { streams, asked, askedOf, most, root } = world(content, Object.fromEntries(names.map((name) => [name, honest])));
    await pullContent(streams, names, root, content.length, options);
    assert.deepEqual(asked.slice(0, 12), [...names.slice(0, 8).map((name) => `${name} leaves`), 'a 0', 'b 1', 'c 2', 'd 3']);
    assert.deepEqual([...most.values()], Array(8).fill(3));
    assert.deepEqual(askedOf('i'), []);
    assert.ok(askedOf(...names).length < 40 + 12);

    const first = world(content, { a: (index, give) => (index === 'leaves' ? give() : hangs(index, give)), b: gone });
    void pullContent(first.streams, ['a', 'b'], first.root, content.length, options);
    await new Promise(setImmediate);
    assert.deepEqual(first.askedOf('a'), [0]);
  });

  it('keeps what it has when a holder fails, and asks others for the rest alone', async () => {
    const content = bytesOf(9 * CHUNK_BYTES);
    let given = 0;
    const breaks: Answer = (index, give) => (index !== 'leaves' && ++given > 4 ? gone(index, give) : give());
    const faults: string[] = [];
    // b stands by until a place is free.
    const hanging = ['s', 't', 'u', 'v', 'x', 'y', 'z'];
    const { streams, askedOf, root } = world(content, {
      a: breaks,
      b: honest,
      ...Object.fromEntries(hanging.map((name) => [name, hangs])),
    });
    const onFault = (peer: PeerId, error: StarlingError) => void faults.push(`${peer} ${error.code}`);
    const pulled = await pullContent(streams, ['a', ...hanging, 'b'], root, content.length, { ...options, onFault });
    assert.ok(Buffer.from(pulled).equals(content));
    assert.deepEqual(faults, ['a UNREACHABLE']);
    assert.deepEqual(ascending(askedOf('b')), [4, 5, 6, 7, 8]);
  });

  for (const [name, lie] of Object.entries(LIES))
    it(`leaves a liar at the cost of one chunk, naming it (${name})`, async () => {
      const faults: StarlingError[] = [];
      const { streams, askedOf, root } = world(content, { liar: lie, b: honest });
      const onFault = (_peer: PeerId, error: StarlingError) => void faults.push(error);
      const pulled = await pullContent(streams, ['liar', 'b'], root, content.length, { ...options, onFault });
      assert.ok(Buffer.from(pulled).equals(content));
      assert.deepEqual(
        faults.map((error) => [error.code, error.facts.peer]),
        [['HASH_MISMATCH', 'liar']],
      );
      assert.ok(askedOf('liar').length <= 1);
    });

  it('does not wait for a slow holder: what it owes comes from others, and it is told to stop', async () => {
    const content = bytesOf(12 * CHUNK_BYTES);
    let given = 0;
    const stalls: Answer = (index, give) => (index === 'leaves' || ++given === 1 ? give() : hangs(index, give));
    const faults: PeerId[] = [];
    const { streams, askedOf, cancelled, root } = world(content, { slow: stalls, b: honest });
    const pulled = await pullContent(streams, ['slow', 'b'], root, content.length, {
      ...options,
      onFault: (peer) => void faults.push(peer),
    });
    assert.ok(Buffer.from(pulled).equals(content));
    assert.deepEqual(faults, []);
    const owed = askedOf('slow').slice(1);
    assert.equal(owed.length, 3);
    assert.ok(owed.every((chunk) => askedOf('b').includes(chunk)));
    assert.ok(owed.every((chunk) => cancelled.includes(`slow ${chunk}`)));
  });

  it('turns to holders that come while it runs, when there is room for them', async () => {
    const content = bytesOf(12 * CHUNK_BYTES);
    const here = ['a'];
    let given = 0;
    const calls: Answer = (index, give) => {
      if (index !== 'leaves' && ++given === 2) here.push('b', 'c', 'd', 'e');
      return given < 5 ? give() : gone(index, give);
    };
    const { streams, askedOf, root } = world(content, { a: calls, b: honest, c: honest, d: honest, e: honest });
    const pulled = await pullContent(streams, () => here, root, content.length, options);
    assert.ok(Buffer.from(pulled).equals(content));
    for (const peer of ['b', 'c', 'd']) assert.ok(askedOf(peer).length > 0, peer);
  });

  it('asks one holder alone for what fits one chunk', async () => {
    const { streams, askedOf, root } = world(bytesOf(100), { a: honest, b: honest, c: honest });
    await pullContent(streams, ['a', 'b', 'c'], root, 100, options);
    assert.equal(askedOf('a', 'b', 'c').length, 1);
  });

  it('has the content in the end while one honest holder lives, in whatever order answers come', async () => {
    const names = ['p', 'q', 'r', 's', 't'];
    const kinds = { honest, gone, hangs, ...LIES };
    const kind = fc.constantFrom(...(Object.keys(kinds) as (keyof typeof kinds)[]));
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), fc.array(kind, { minLength: 5, maxLength: 5 }), fc.nat(3), async (scheduler, chosen, good) => {
        const at = (i: number): keyof typeof kinds => (i === good ? 'honest' : (chosen[i] as keyof typeof kinds));
        const answers = Object.fromEntries(
          names.map((name, i): [PeerId, Answer] => [
            name,
            async (index, give) => {
              await scheduler.schedule(Promise.resolve());
              return await (kinds[at(i)] as Answer)(index, give);
            },
          ]),
        );
        const { streams, askedOf, root } = world(content, answers);
        const faults: PeerId[] = [];
        const pulled = await scheduler.waitFor(
          pullContent(streams, names, root, content.length, { ...options, onFault: (peer) => void faults.push(peer) }),
        );
        assert.ok(Buffer.from(pulled).equals(content));
        assert.equal(new Set(faults).size, faults.length);
        for (const peer of faults) assert.ok(!['honest', 'hangs'].includes(at(names.indexOf(peer))), peer);
        for (const [i, peer] of names.entries()) if (at(i) in LIES) assert.ok(askedOf(peer).length <= 1, `${peer} was asked again`);
      }),
      { numRuns: 60 },
    );
  });

  it('blames the announcement, not the holder, for a wrong size', async () => {
    const content = bytesOf(2 * CHUNK_BYTES + 10);
    for (const announced of [content.length - 1, content.length + 1, CHUNK_BYTES, 4 * CHUNK_BYTES, 0]) {
      const faults: StarlingError[] = [];
      const { streams, root } = world(content, { a: honest, b: honest });
      const onFault = (_peer: PeerId, error: StarlingError) => void faults.push(error);
      await assert.rejects(pullContent(streams, ['a', 'b'], root, announced, { ...options, onFault }), codeOf('HASH_MISMATCH'));
      assert.deepEqual(faults, [], `${announced}`);
    }
  });

  it('says how far it came when no holder is left', async () => {
    const content = bytesOf(4 * CHUNK_BYTES);
    let given = 0;
    const { streams, root } = world(content, {
      a: gone,
      b: (index, give) => (index !== 'leaves' && ++given > 1 ? gone(index, give) : give()),
    });
    await assert.rejects(pullContent(streams, ['a', 'b'], root, content.length, options), (error: unknown) => {
      assert.ok(error instanceof StarlingError);
      assert.equal(error.code, 'NOT_FOUND');
      assert.match(error.message, /1 of 4 chunks/);
      assert.equal((error.cause as StarlingError).code, 'UNREACHABLE');
      return true;
    });
    await assert.rejects(pullContent(streams, [], root, content.length, options), codeOf('NOT_FOUND'));
  });

  it('ends when its caller gives up, without trying further holders', async () => {
    const content = bytesOf(4 * CHUNK_BYTES);
    const abort = new AbortController();
    const hanging = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
    const { streams, asked, root } = world(content, { ...Object.fromEntries(hanging.map((name) => [name, hangs])), i: honest });
    const pulling = pullContent(streams, [...hanging, 'i'], root, content.length, { ...options, signal: abort.signal });
    abort.abort(new Error('enough'));
    await assert.rejects(pulling, /enough/);
    assert.equal(asked.length, 8);
    await assert.rejects(pullContent(streams, ['a'], root, content.length, { ...options, signal: abort.signal }), /enough/);
    assert.equal(asked.length, 8);
  });

  it('lets an error that is no holder’s fault through', async () => {
    const broken: Answer = async () => {
      throw new TypeError('a defect');
    };
    const { streams, root } = world(content, { a: broken, b: hangs });
    await assert.rejects(pullContent(streams, ['a', 'b'], root, content.length, options), TypeError);
  });
});

describe('a pull that is tried again', () => {
  it('asks for each chunk about once, however many attempts end before the last', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 12 }),
        fc.integer({ min: 1, max: CHUNK_BYTES }),
        // Answers, leaves among them, after which the holder of an attempt is gone; that of the last one stays.
        fc.array(fc.integer({ min: 0, max: 6 }), { maxLength: 5 }),
        async (chunks, last, lives) => {
          const content = bytesOf((chunks - 1) * CHUNK_BYTES + last);
          let left = 0;
          const dying: Answer = (index, give) => (left-- > 0 ? give() : gone(index, give));
          const { streams, root, askedOf } = world(content, { a: dying });
          const pulls = new Pulls({ nowMs: () => 0 });
          for (const life of [...lives, Number.POSITIVE_INFINITY]) {
            left = life;
            const pulling = pulls.pull(streams, ['a'], root, content.length, options);
            const pulled = await pulling.catch((error: unknown) => assert.ok(codeOf('NOT_FOUND')(error), `${error}`));
            if (pulled === undefined) continue;
            assert.ok(Buffer.from(pulled).equals(content));
            break;
          }
          // What is under way when a holder goes is asked for again: three chunks at most.
          assert.ok(askedOf('a').length <= chunks + 3 * lives.length, `${askedOf('a')}`);
          assert.deepEqual(ascending([...new Set(askedOf('a'))]), range(chunks));
        },
      ),
      { numRuns: 60 },
    );
  });

  it('begins anew with another size, and remembers what fits its budget, the newest first', async () => {
    const contents = [3, 5, 7].map((seed) => bytesOf(3 * CHUNK_BYTES, seed));
    const pulls = new Pulls({ nowMs: () => 0 }, 6 * CHUNK_BYTES);
    const worlds = contents.map((content) => {
      let answers = 0;
      const made = world(content, { a: (index, give) => (++answers === 3 ? gone(index, give) : give()) });
      return { ...made, content };
    });
    for (const { streams, root, content } of worlds)
      await assert.rejects(pulls.pull(streams, ['a'], root, content.length, options), codeOf('NOT_FOUND'));
    const [oldest, , newest] = worlds as [(typeof worlds)[0], (typeof worlds)[0], (typeof worlds)[0]];
    await assert.rejects(
      pulls.pull(newest.streams, ['a'], newest.root, newest.content.length + CHUNK_BYTES, options),
      codeOf('HASH_MISMATCH'),
    );
    for (const [{ streams, root, content, askedOf }, again] of [
      [worlds[1] as (typeof worlds)[0], 0],
      [oldest, 1],
    ] as const) {
      await pulls.pull(streams, ['a'], root, content.length, options);
      const chunks = askedOf('a');
      const answered = chunks.filter((chunk, i) => chunks.indexOf(chunk) !== i).length;
      // Two were under way when the holder went; the first chunk of the oldest content had come, and was forgotten.
      assert.equal(answered, 2 + again, `${chunks}`);
    }
  });
});
