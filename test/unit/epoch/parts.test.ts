import assert from 'node:assert/strict';
import fc from 'fast-check';
import { chunkAt, contentOf } from '../../../src/crypto/index.ts';
import { type Ask, chooseChunk, type Holder, hasChunk, partialOf, partsOf } from '../../../src/epoch/parts.ts';
import { CHUNK_BYTES } from '../../../src/spec/index.ts';

const CHUNKS = 12;
const some = fc.uniqueArray(fc.nat(CHUNKS - 1)).map((chunks) => new Set(chunks));
const has = fc.oneof(fc.constant('all' as const), fc.constant(undefined), some);
const holderOf = (peer: string, held: Holder['has'], answered = 1): Holder => ({
  peer,
  has: held,
  isAsked: false,
  missingThen: 0,
  sinceMs: 0,
  owes: new Set(),
  answered,
});

describe('the next chunk of a pull', () => {
  it('is the open one that fewest have, of those that the holder has; each of them with some chance', () => {
    fc.assert(
      fc.property(fc.array(has, { minLength: 1, maxLength: 5 }), some, fc.double({ min: 0, max: 0.999 }), (held, open, chance) => {
        const holders = held.map((one, i) => holderOf(`${i}`, one));
        const [holder] = holders as [Holder];
        const chosen = chooseChunk(holder, { open, asked: new Map(), holders, uniform: () => chance });
        const counted = [...open]
          .filter((chunk) => hasChunk(holder, chunk))
          .map((chunk) => ({ chunk, count: held.filter((one) => one === 'all' || one?.has(chunk)).length }));
        if (counted.length === 0) return assert.equal(chosen, undefined);
        const fewest = Math.min(...counted.map(({ count }) => count));
        const alike = counted.filter(({ count }) => count === fewest).map(({ chunk }) => chunk);
        return assert.equal(chosen, alike[Math.floor(chance * alike.length)]);
      }),
    );
  });

  it('is one that is late with another when nothing is open: of two at once, and never what the holder lacks or owes', () => {
    const [late, idle, third] = [holderOf('late', 'all'), holderOf('idle', new Set([1, 2]), 9), holderOf('third', 'all')];
    const ask = (number: number, ...of: Holder[]): Ask => ({ of: new Set(of), number });
    const choose = (asked: readonly (readonly [number, Ask])[], open = new Set<number>()) =>
      chooseChunk(idle, { open, asked: new Map(asked), holders: [late, idle, third], uniform: () => 0 });
    assert.equal(
      choose([
        [0, ask(1, late)],
        [1, ask(2, late)],
      ]),
      1,
      'it lacks 0',
    );
    assert.equal(
      choose([
        [1, ask(2, late, third)],
        [2, ask(3, late)],
      ]),
      2,
      '1 is asked of two',
    );
    assert.equal(choose([[1, ask(10, late)]], new Set([0])), undefined, '0 is open, and 1 is not late');
    assert.equal(choose([[1, ask(8, late)]], new Set([0])), 1, 'it was asked before what came from here');
    assert.equal(choose([[1, ask(10, late)]]), 1, 'nothing else is left to do');
    idle.owes.add(2);
    assert.equal(
      choose([
        [1, ask(10, late)],
        [2, ask(11, idle)],
      ]),
      undefined,
    );
    assert.equal(
      chooseChunk(holderOf('new', 'all', 0), { open: new Set(), asked: new Map([[1, ask(1, late)]]), holders: [late], uniform: () => 0 }),
      undefined,
    );
  });
});

describe('content that is not all here', () => {
  it('is given chunk by chunk once its leaves are known, as far as it has come', () => {
    const content = new Uint8Array(2 * CHUNK_BYTES + 9).map((_, i) => i >> 10);
    const index = contentOf(content);
    const parts = partsOf(index.root, content.length);
    assert.equal(partialOf(parts), undefined);
    parts.leaves = index.leaves;
    const partial = partialOf(parts) ?? assert.fail('nothing');
    assert.deepEqual(partial.index, index);
    for (const i of [2, 0]) {
      parts.content.set(chunkAt(content, i), i * CHUNK_BYTES);
      parts.missing.delete(i);
    }
    assert.deepEqual(partial.held, new Set([0, 2]));
    assert.deepEqual(
      [0, 1, 2, 3].map((i) => partial.chunk(i)?.length),
      [CHUNK_BYTES, undefined, 9, undefined],
    );
    assert.ok(Buffer.from(partial.chunk(2) as Uint8Array).equals(chunkAt(content, 2)));
  });
});
