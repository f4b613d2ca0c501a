import assert from 'node:assert/strict';
import { inTurns, spansInTurns, TURN_ELEMENTS } from '../../../src/epoch/turns.ts';

/** What `parts` gives, with a stroke where a turn was given. */
async function told<T>(parts: (turn: () => Promise<void>) => AsyncIterable<T>): Promise<(T | '|')[]> {
  const all: (T | '|')[] = [];
  for await (const part of parts(async () => void all.push('|'))) all.push(part);
  return all;
}

describe('turns', () => {
  it('come between parts, and neither before the first nor after the last', async () => {
    assert.deepEqual(await told((turn) => inTurns([1, 2, 3], turn)), [1, '|', 2, '|', 3]);
    assert.deepEqual(await told((turn) => inTurns([1], turn)), [1]);
    assert.deepEqual(await told((turn) => inTurns([], turn)), []);
  });

  it('come wherever a tensor would make one too long, and small ones share one', async () => {
    const n = TURN_ELEMENTS;
    const spans = [
      { name: 'a', start: 0, end: 10 },
      { name: 'b', start: 10, end: n },
      { name: 'c', start: n, end: 3 * n + 1 },
    ];
    assert.deepEqual(await told((turn) => spansInTurns(spans, turn)), [
      { t: 0, start: 0, end: 10 },
      { t: 1, start: 10, end: n },
      '|',
      { t: 2, start: n, end: 2 * n },
      '|',
      { t: 2, start: 2 * n, end: 3 * n },
      '|',
      { t: 2, start: 3 * n, end: 3 * n + 1 },
    ]);
  });
});
