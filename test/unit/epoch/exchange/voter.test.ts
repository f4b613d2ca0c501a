import assert from 'node:assert/strict';
import { Ballots } from '../../../../src/epoch/exchange/ballots.ts';
import { Voter } from '../../../../src/epoch/exchange/voter.ts';
import { VirtualClock } from '../../../../src/simulation/clock.ts';
import { MemoryNodeStore } from '../../../../src/simulation/stores.ts';
import type { Attempt } from '../../../../src/spec/index.ts';
import { attemptId } from '../../../../src/wire/index.ts';
import { identityOf } from '../../../support/epochWorld.ts';

const BASE = 'ba'.repeat(32);
/** Ms that a first number waits for its certificate. */
const FIRST_MS = 1_000;
const SIGNERS = ['a', 'b', 'c', 'd'];
const NEEDED = 3;

const attempt = (number: number, dropped = 0): Attempt => ({
  swarm: 'cd'.repeat(32),
  epoch: 7,
  base: BASE,
  number,
  roster: [`0${dropped}`.repeat(32)],
  dropped: [],
  broken: [],
});

describe('one voter on attempts', () => {
  let clock: VirtualClock;
  let store: MemoryNodeStore;
  let ballots: Ballots;
  beforeEach(() => {
    clock = new VirtualClock();
    store = new MemoryNodeStore();
    ballots = new Ballots({ signers: SIGNERS, needed: NEEDED });
  });
  const begun = () => new Voter({ clock, store, identity: identityOf(1) }, ballots, BASE);
  const next = (voter: Voter, least = 0) => voter.next(least, SIGNERS.length, NEEDED);
  const pass = (ms: number) => clock.runUntil(() => false, clock.nowMs() + ms);
  /** These vote for that number, each for another attempt: no certificate comes of it. */
  const apart = (number: number, voters = SIGNERS) => {
    for (const [i, voter] of voters.entries()) {
      const body = attempt(number, i);
      ballots.add(body, { attempt: attemptId(body), voter, signature: new Uint8Array(64) });
    }
  };
  /** Signs what is next, once it is; resolves with that number and the ms that passed. */
  const signed = async (voter: Voter): Promise<{ number: number; ms: number }> => {
    const sinceMs = clock.nowMs();
    for (;;) {
      const number = next(voter);
      if (number !== undefined) {
        voter.sign(attempt(number));
        return { number, ms: clock.nowMs() - sinceMs };
      }
      assert.ok(clock.nowMs() - sinceMs < 100 * FIRST_MS, 'a number comes');
      await pass(50);
    }
  };

  it('gives each number that brings no certificate a second more than the one before', async () => {
    const voter = begun();
    assert.deepEqual(await signed(voter), { number: 0, ms: 0 });
    for (const number of [1, 2, 3]) {
      apart(number - 1);
      const { number: gone, ms } = await signed(voter);
      assert.equal(gone, number);
      assert.ok(ms > number * FIRST_MS && ms <= number * FIRST_MS + 100, `${ms} ms`);
    }
  });

  it('waits as a first vote does where it begins anew, however many numbers a process before it signed', async () => {
    const before = begun();
    for (let number = 0; number < 10; number++) before.sign(attempt(number));
    const voter = begun();
    assert.equal(voter.before, 9);
    const first = await signed(voter);
    assert.equal(first.number, 10, 'none that was signed before');
    assert.ok(first.ms <= FIRST_MS + 100, `${first.ms} ms`);
    apart(10);
    const second = await signed(voter);
    assert.equal(second.number, 11);
    assert.ok(second.ms <= FIRST_MS + 100, `${second.ms} ms`);
  });

  it('goes to a later number for which half have voted, at once', () => {
    const voter = begun();
    voter.sign(attempt(0));
    apart(4, SIGNERS.slice(0, 1));
    assert.equal(next(voter), undefined);
    apart(4, SIGNERS.slice(1, 2));
    assert.equal(next(voter), 4);
  });

  it('stays where it is while too few have voted for its number', async () => {
    const voter = begun();
    voter.sign(attempt(0));
    apart(0, SIGNERS.slice(0, NEEDED - 1));
    await pass(10 * FIRST_MS);
    assert.equal(next(voter), undefined);
    apart(0, SIGNERS.slice(NEEDED - 1));
    assert.equal(next(voter), 1);
  });
});
