import assert from 'node:assert/strict';
import { StarlingError } from '../../../src/spec/index.ts';
import { initialState, isRefused, reduce, restoredEpoch, verdictsOf } from '../../../src/state/index.ts';
import { MAX_VOICES, MOTION_EPOCHS } from '../../../src/state/motions.ts';
import { quorumOf } from '../../../src/state/quorum.ts';
import { hashOf, SWARM } from '../ledger/entries.ts';
import {
  ballot,
  EMPTY,
  find,
  type Given,
  genesisOf,
  inviteBy,
  joins,
  modelAt,
  people,
  run,
  says,
  stepOf,
  verdict,
  votedTwice,
  voters,
  who,
} from './world.ts';

const three = genesisOf([0, 1, 2]);
const four = genesisOf([0, 1, 2, 3]);
const five = genesisOf([0, 1, 2, 3, 4]);
const all = (ns: readonly number[], ...rest: Parameters<typeof ballot> extends [number, ...infer R] ? R : never) =>
  ns.map((n) => ballot(n, ...rest));

describe('the quorum', () => {
  it('is the smallest of which any two share more voters than may lie', () => {
    for (let n = 1; n <= 300; n++) {
      let f = 0;
      while (3 * (f + 1) + 1 <= n) f += 1;
      let q = 1;
      while (2 * q - n <= f) q += 1;
      assert.equal(quorumOf(n), q, `${n}`);
    }
    assert.equal(quorumOf(0), 1, 'nobody cannot finalise');
  });
});

describe('motions', () => {
  it('admit a member with q voices, which may come in different blocks', () => {
    const joined = run(four, [{ cut: [joins(4)] }]);
    const two = run(four, [{ cut: all([0, 1], 'admit', who(4), 1) }], joined);
    assert.deepEqual(
      [voters(two), two.motions],
      [[0, 1, 2, 3], [{ action: 'admit', subject: who(4), epoch: 1, opened: 2, ayes: [who(0), who(1)] }]],
    );
    const done = run(four, [{ cut: all([3], 'admit', who(4), 2) }], two);
    assert.deepEqual([voters(done), done.motions], [[0, 1, 2, 3, 4], []]);
  });

  it('count one voice a voter, and no voice of anybody else', () => {
    const joined = run(four, [{ cut: [joins(4), joins(5)] }]);
    const state = run(
      four,
      [{ cut: [...all([0, 1, 1, 0, 4, 5], 'admit', who(4), 1)] }, { cut: all([1, 0, 5], 'admit', who(4), 1) }],
      joined,
    );
    assert.deepEqual(
      [voters(state), state.motions[0]?.ayes],
      [
        [0, 1, 2, 3],
        [who(0), who(1)],
      ],
    );
  });

  it('forget the voice of whoever is a voter no more', () => {
    const joined = run(five, [{ cut: [joins(5), ...all([0, 1], 'admit', who(5), 0)] }]);
    const left = run(five, [{ cut: [says(0, 'leave')] }], joined);
    const state = run(five, [{ cut: all([2], 'admit', who(5), 2) }], left);
    assert.deepEqual(
      [voters(state), state.motions[0]?.ayes],
      [
        [1, 2, 3, 4],
        [who(1), who(2)],
      ],
    );
  });

  it('take the quorum of the committee before the block', () => {
    // Five voters, of whom one is expelled in this block: still four voices, not three.
    const cut = all([0, 1, 2], 'restore', null, 0);
    assert.equal(run(five, [{ cut, evidence: [votedTwice(4)] }]).motions.length, 1);
    assert.equal(run(four, [{ cut }]).motions.length, 0);
  });

  it('remove a voter only if three remain, else wait for a newcomer', () => {
    assert.deepEqual(voters(run(four, [{ cut: all([0, 1, 2], 'remove', who(3)) }])), [0, 1, 2]);
    const waiting = run(three, [{ cut: all([0, 1], 'remove', who(2)) }, {}]);
    assert.deepEqual([voters(waiting), waiting.motions.length], [[0, 1, 2], 1]);
    const newcomer = run(three, [{ cut: [joins(3, inviteBy(0, { vote: true }))] }], waiting);
    assert.deepEqual([voters(newcomer), newcomer.motions.length], [[0, 1, 3], 0]);
    const both = run(five, [{ cut: [0, 1, 2, 3].flatMap((n) => [ballot(n, 'remove', who(4)), ballot(n, 'remove', who(3))]) }]);
    assert.deepEqual(voters(both), [0, 1, 2]);
  });

  it('let a removed voter come back by its own resume', () => {
    const removed = run(four, [{ cut: all([0, 1, 2], 'remove', who(3)) }, {}]);
    assert.deepEqual([find(removed, 3)?.vote, find(removed, 3)?.status], ['removed', 'active']);
    assert.deepEqual(voters(run(four, [{ cut: [says(3, 'resume')], provisional: true }], removed)), [0, 1, 2]);
    assert.deepEqual(voters(run(four, [{ cut: [says(3, 'resume')] }], removed)), [0, 1, 2, 3]);
  });

  it('drop what has become pointless: the subject is gone, or has the vote already', () => {
    const joined = run(four, [{ cut: [joins(4), ballot(0, 'admit', who(4)), ballot(0, 'remove', who(3)), ballot(0, 'admit', who(6))] }]);
    assert.equal(joined.motions.length, 2);
    const state = run(four, [{ cut: [says(4, 'leave'), ballot(1, 'admit', who(0))], evidence: [votedTwice(3)] }], joined);
    assert.deepEqual(state.motions, []);
    assert.equal(run(four, [{ cut: [joins(4, null, 'edge'), ...all([0, 1, 2], 'admit', who(4))] }]).motions.length, 0);
  });

  it(`lapse ${MOTION_EPOCHS} epochs after they were opened, and hear no ballot that is older`, () => {
    const opened = run(four, [{ cut: [ballot(0, 'remove', who(3))] }]);
    assert.equal(run(four, [{ ahead: MOTION_EPOCHS }], opened).motions.length, 1);
    assert.equal(run(four, [{ ahead: MOTION_EPOCHS + 1 }], opened).motions.length, 0);
    const late = (ahead: number, ...b: Parameters<typeof ballot>) => run(four, [{ ahead, cut: [ballot(...b)] }]).motions.length;
    assert.deepEqual([late(70, 0, 'remove', who(3), 6), late(70, 0, 'remove', who(3), 5)], [1, 0]);
    assert.deepEqual([late(70, 0, 'restore', null, 2, 6), late(70, 0, 'restore', null, 2, 5)], [1, 0]);
    assert.deepEqual([late(70, 0, 'remove', who(3), 70), late(70, 0, 'restore', null, 70)], [0, 0], 'of what is to come');
    assert.deepEqual([late(1, 0, 'restore', who(3), 0), late(1, 0, 'remove', null, 0)], [0, 0], 'without a meaning');
  });

  it(`hear ${MAX_VOICES} open ones of a voter, and another when one is settled`, () => {
    const restores = (n: number, from: number, to: number) =>
      Array.from({ length: to - from }, (_, i) => ballot(n, 'restore', null, from + i, 40));
    const full = run(four, [{ ahead: 50 }, { cut: [...restores(0, 0, 40), ballot(1, 'restore', null, 39, 40)] }]);
    assert.equal(full.motions.length, MAX_VOICES + 1);
    assert.equal(run(four, [{ cut: restores(0, 20, 21) }], full).motions.length, MAX_VOICES + 1);
    const settled = run(four, [{ cut: [...restores(1, 3, 4), ...restores(2, 3, 4)] }, { cut: restores(0, 20, 21) }], full);
    assert.equal(settled.motions.length, MAX_VOICES + 1);
    assert.deepEqual(
      settled.motions.filter((m) => m.epoch === 3 || m.epoch === 20).map((m) => m.epoch),
      [20],
    );
  });

  it('restore the model of a past epoch, the oldest where several carry, and apply no aggregate then', () => {
    const before = run(four, [{ by: [0, 1] }, { by: [0, 1] }, { by: [0, 1] }]);
    const given: Given = {
      by: [0, 1, 2],
      distances: ['10', '10', '90'],
      cut: [...all([0, 1, 2], 'restore', null, 2), ...all([0, 1, 3], 'restore', null, 1)],
    };
    const step = stepOf(before, given);
    assert.equal(restoredEpoch(four, before, step), 1);
    const state = reduce(four, SWARM, before, step);
    assert.deepEqual([state.modelRoot, state.motions, state.scaleExponents], [modelAt(1), [], before.scaleExponents]);
    assert.deepEqual(
      state.members.map((m) => [m.trust, m.emaX]),
      before.members.map((m) => [m.trust, m.emaX]),
    );
    assert.equal(find(state, 2)?.lastEpoch, 4);
    const first = stepOf(before, { cut: all([0, 1, 2], 'restore', null, 0) });
    assert.deepEqual([restoredEpoch(four, before, first), reduce(four, SWARM, before, first).modelRoot], [0, four.initialModelRoot]);
    assert.equal(restoredEpoch(four, before, { ...step, block: undefined }), undefined);
    assert.equal(restoredEpoch(four, before, stepOf(before, { cut: all([0, 1], 'restore', null, 2) })), undefined);
    const blind = { ...step, modelRootAt: () => undefined };
    assert.throws(
      () => restoredEpoch(four, before, blind),
      (e) => e instanceof StarlingError && e.code === 'NOT_FOUND',
    );
  });
});

describe('verdicts', () => {
  const start = initialState(four, SWARM, EMPTY);
  const by = [0, 1, 2, 3];
  const refused = (verdicts: NonNullable<Given['verdicts']>, given: Given = {}) =>
    isRefused(start, stepOf(start, { by, verdicts, ...given }));

  it('refuse an aggregate iff more than half of them are bad', () => {
    for (let good = 0; good <= 4; good++) {
      for (let bad = 0; good + bad <= 4; bad++) {
        const verdicts = people.slice(0, good + bad).map((_, n) => [n, n < good] as const);
        assert.equal(refused(verdicts), bad / (good + bad) > 0.5, `${good} good, ${bad} bad`);
      }
    }
  });

  it('are those of voters, the first of each, on this aggregate', () => {
    const bad = (n: number) => [n, false] as const;
    assert.equal(refused([bad(5), bad(6), [0, true]]), false);
    assert.equal(refused([[0, true], bad(0), bad(0)]), false);
    const step = stepOf(start, { by });
    for (const other of [{ epoch: 2 }, { base: hashOf('other') }, { aggregateHash: hashOf('other') }]) {
      const cut = [verdict(0, step, false, other), verdict(1, step, true)];
      assert.deepEqual(verdictsOf(start, { ...step, cut }), { good: 1, bad: 0 });
    }
    assert.equal(refused([bad(0)], { provisional: true }), false);
    assert.equal(refused([bad(0)], { by: [] }), false, 'there is nothing to refuse');
  });

  it('keep model, scales and trust as they were where they refuse', () => {
    const before = run(four, [{ by, distances: ['10', '10', '10', '0'] }]);
    const given: Given = { by, distances: ['10', '10', '10', '90'], verdicts: [[0, false]] };
    const state = run(four, [given], before);
    assert.deepEqual([state.refused, state.modelRoot, state.scaleExponents], [true, before.modelRoot, before.scaleExponents]);
    const standing = (s: typeof state) => s.members.map((m) => [m.trust, m.emaX, m.farStreak]);
    assert.deepEqual(standing(state), standing(before));
    const applied = run(four, [{ ...given, verdicts: [[0, true]] }], before);
    assert.deepEqual([applied.refused, applied.modelRoot], [false, modelAt(2)]);
    assert.notDeepEqual(standing(applied), standing(before));
    assert.equal(run(four, [{}], state).refused, false);
    // A newcomer gets its share all the same.
    const joined = run(four, [{ ...given, cut: [joins(5)] }], before);
    assert.ok((find(joined, 5)?.trust ?? 0) > 0);
  });
});
