import assert from 'node:assert/strict';
import fc from 'fast-check';
import { isKind } from '../../../src/ledger/index.ts';
import { type Genesis, type Motion, type SignedEntry, type SwarmState, TRUST_ONE } from '../../../src/spec/index.ts';
import { initialState, isRefused, reduce, restoredEpoch, type Step, stateRoot, votersOf } from '../../../src/state/index.ts';
import { MAX_VOICES, MOTION_EPOCHS } from '../../../src/state/motions.ts';
import { SWARM } from '../ledger/entries.ts';
import { ballot, EMPTY, type Given, genesisOf, inviteBy, joins, says, stepOf, votedTwice, who } from './world.ts';

/** Who signs what, made once: signatures cost a millisecond. Ballots are made when the epoch is known. */
const invites = [0, 1, 4].flatMap((issuer) => [
  inviteBy(issuer, { vote: true, uses: 2 }),
  inviteBy(issuer, { vote: false, uses: 1, nonce: '08'.repeat(16), expiresMs: 400 }),
]);
const person = fc.nat(7);
const entry: fc.Arbitrary<(epoch: number) => SignedEntry> = fc.oneof(
  fc.tuple(person, fc.option(fc.constantFrom(...invites))).map(
    ([n, invite]) =>
      () =>
        joins(n, invite),
  ),
  fc.tuple(person, fc.constantFrom('away' as const, 'leave' as const, 'resume' as const, 'resume' as const)).map(
    ([n, action]) =>
      () =>
        says(n, action),
  ),
  fc.tuple(person, fc.constantFrom('admit' as const, 'remove' as const), person, fc.nat(4)).map(
    ([n, action, subject, back]) =>
      (epoch: number) =>
        ballot(n, action, who(subject), Math.max(0, epoch - 1 - back)),
  ),
  fc.tuple(person, fc.nat(3)).map(
    ([n, target]) =>
      (epoch: number) =>
        ballot(n, 'restore', null, target, Math.max(0, epoch - 1)),
  ),
);
/** Ballots of everyone on one thing, since a quorum seldom comes by chance; who is to be admitted joins before. */
const chorus = fc
  .tuple(
    fc.subarray([0, 1, 2, 3, 4, 5, 6, 7], { minLength: 2 }),
    fc.constantFrom('admit' as const, 'remove' as const, 'restore' as const),
    person,
  )
  .map(([all, action, subject]) => (epoch: number): SignedEntry[] => {
    if (action === 'restore') return all.map((n) => ballot(n, action, null, 0, epoch - 1));
    // Most founders vote already; the last four never are founders or seldom.
    const whom = action === 'admit' ? 4 + (subject % 4) : subject;
    return [...(action === 'admit' ? [joins(whom)] : []), ...all.map((n) => ballot(n, action, who(whom), epoch - 1))];
  });

interface Move {
  readonly entries: readonly ((epoch: number) => SignedEntry)[];
  readonly chorus: ((epoch: number) => SignedEntry[]) | null;
  readonly given: Given;
}
const move: fc.Arbitrary<Move> = fc.record({
  entries: fc.array(entry, { maxLength: 6 }),
  chorus: fc.option(chorus, { freq: 2 }),
  given: fc.record({
    by: fc.subarray([0, 1, 2, 3, 4, 5]),
    verdicts: fc.array(fc.tuple(person, fc.boolean()), { maxLength: 5 }),
    evidence: fc.oneof({ weight: 6, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: person.map((n) => [votedTwice(n)]) }),
    forked: fc.oneof({ weight: 6, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: person.map((n) => [n]) }),
    timeMs: fc.constantFrom(300, 500, 2_000),
    provisional: fc.boolean(),
    ahead: fc.oneof({ weight: 8, arbitrary: fc.constant(1) }, { weight: 1, arbitrary: fc.integer({ min: 2, max: MOTION_EPOCHS + 5 }) }),
  }),
});
const history = fc.record({
  founders: fc.constantFrom([0], [0, 1, 2], [0, 1, 2, 3], [0, 1, 2, 3, 4, 5]),
  admission: fc.constantFrom('open' as const, 'invite' as const),
  voting: fc.constantFrom('invited' as const, 'invited' as const, 'open' as const),
  moves: fc.array(move, { minLength: 1, maxLength: 14 }),
});
type History = typeof history extends fc.Arbitrary<infer T> ? T : never;

/** Walks a history and shows every step to `see`. */
function walk(h: History, see: (genesis: Genesis, before: SwarmState, step: Step, after: SwarmState) => void): SwarmState {
  const genesis = genesisOf(h.founders, { admission: h.admission, voting: h.voting });
  let state = freeze(initialState(genesis, SWARM, EMPTY));
  for (const { entries, chorus: together, given } of h.moves) {
    const epoch = state.epoch + (given.ahead ?? 1);
    const step = stepOf(state, { ...given, cut: [...entries.map((make) => make(epoch)), ...(together?.(epoch) ?? [])] });
    const after = freeze(reduce(genesis, SWARM, state, step));
    see(genesis, state, step, after);
    state = after;
  }
  return state;
}

/** A reducer that wrote into its argument would throw. */
function freeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !ArrayBuffer.isView(value) && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) freeze(inner);
  }
  return value;
}

const sizeOf = (state: SwarmState): number => votersOf(state).length;
const expelled = (state: SwarmState): string[] => state.members.filter((m) => m.status === 'expelled').map((m) => m.fingerprint);

describe('any history', () => {
  it('makes a committee of two or none by expulsion only', () => {
    fc.assert(
      fc.property(history, (h) => {
        walk(h, (_, before, step, after) => {
          const [from, to] = [sizeOf(before), sizeOf(after)];
          const lost = expelled(after).some((f) => votersOf(before).includes(f));
          if (to === 2 || to === 0) assert.ok(from === to || lost, `${from} -> ${to}`);
          if (step.block === undefined) assert.equal(from, to);
        });
      }),
      { numRuns: 200 },
    );
  });

  it('never gives anything back to who was expelled', () => {
    fc.assert(
      fc.property(history, (h) => {
        walk(h, (_, before, __, after) => {
          for (const f of expelled(before)) {
            const member = after.members.find((m) => m.fingerprint === f);
            assert.deepEqual([member?.status, member?.vote, member?.trust], ['expelled', 'none', 0]);
          }
          assert.deepEqual(
            after.members.map((m) => m.fingerprint),
            [...new Set([...before.members, ...after.members].map((m) => m.fingerprint))].sort(),
            'nobody is forgotten, and members are sorted',
          );
        });
      }),
      { numRuns: 150 },
    );
  });

  it('keeps the sum of trust', () => {
    fc.assert(
      fc.property(history, (h) => {
        walk(h, (_, __, ___, { members }) => {
          const sharing = members.filter((m) => m.status !== 'left' && m.status !== 'expelled');
          const sum = members.reduce((total, m) => total + m.trust, 0);
          if (sharing.length > 0) assert.ok(Math.abs(sum - TRUST_ONE) <= members.length, `${sum}`);
          else assert.equal(sum, 0);
        });
      }),
      { numRuns: 150 },
    );
  });

  it('gives the same state twice', () => {
    fc.assert(
      fc.property(history, (h) => {
        const [one, other] = [walk(h, () => undefined), walk(h, () => undefined)];
        assert.deepEqual(one, other);
        assert.equal(stateRoot(one), stateRoot(other));
      }),
      { numRuns: 100 },
    );
  });

  it('leaves to blocks what is theirs', () => {
    fc.assert(
      fc.property(history, (h) => {
        walk(h, (genesis, before, step, after) => {
          if (step.block !== undefined) return;
          const guarded = (s: SwarmState) => [s.invites, s.motions, s.recordsRoot, s.eventHash, votersOf(s)];
          assert.deepEqual(guarded(after), guarded(before));
          assert.equal(after.refused, false);
          assert.equal(restoredEpoch(genesis, before, step), undefined);
          for (const m of after.members) {
            const was = before.members.find((b) => b.fingerprint === m.fingerprint);
            assert.deepEqual([m.status, m.vote], was === undefined ? ['active', 'none'] : [was.status, was.vote]);
          }
        });
      }),
      { numRuns: 150 },
    );
  });

  it('moves the model by the aggregate, by nothing when it is refused, and back when it is restored', () => {
    fc.assert(
      fc.property(history, (h) => {
        walk(h, (genesis, before, step, after) => {
          const [refused, restored] = [isRefused(before, step), restoredEpoch(genesis, before, step)];
          assert.equal(after.refused, refused);
          const root =
            restored === 0
              ? genesis.initialModelRoot
              : restored !== undefined
                ? step.modelRootAt(restored)
                : refused
                  ? before.modelRoot
                  : step.modelRoot;
          assert.equal(after.modelRoot, root);
          if (refused || restored !== undefined) assert.deepEqual(after.scaleExponents, before.scaleExponents);
        });
      }),
      { numRuns: 200 },
    );
  });

  it('decides motions as a plain list of voices does', () => {
    const seen = { admitted: 0, removed: 0, restored: 0 };
    fc.assert(
      fc.property(history, (h) => {
        let voices: Voice[] = [];
        walk(h, (genesis, before, step, after) => {
          if (step.block === undefined) return;
          voices = voicesAfter(voices, before, step);
          const carried = new Set(
            [...new Set(voices.map((v) => v.motion))].filter(
              (m) => voices.filter((v) => v.motion === m).length >= smallestQuorum(sizeOf(before)),
            ),
          );
          const restores = [...carried].filter((m) => m.startsWith('restore')).map((m) => Number(m.split('/')[1]));
          assert.equal(restoredEpoch(genesis, before, step), restores.length === 0 ? undefined : Math.min(...restores));
          seen.restored += restores.length;
          for (const m of after.members) {
            const was = before.members.find((b) => b.fingerprint === m.fingerprint)?.vote;
            if (was === 'voter' && m.vote === 'removed') {
              assert.ok(carried.has(`remove/${m.fingerprint}`));
              seen.removed += 1;
            }
            const invited = step.cut.some((e) => isKind(e, 'join') && e.core.author === m.fingerprint && e.core.body.invite?.vote === true);
            if ((was ?? 'none') === 'none' && m.vote !== 'none' && !invited && h.voting === 'invited') {
              assert.ok(carried.has(`admit/${m.fingerprint}`));
              seen.admitted += 1;
            }
            // What carried is done, or cannot be.
            if (carried.has(`admit/${m.fingerprint}`)) assert.ok(m.vote !== 'none' || m.status === 'left' || m.status === 'expelled');
            if (carried.has(`remove/${m.fingerprint}`) && m.vote === 'voter') assert.ok(sizeOf(after) <= 3);
          }
          voices = voices.filter((v) => !(v.motion.startsWith('restore') && carried.has(v.motion)) && canHappen(v.motion, after));
          assert.deepEqual(after.motions.map(plain), asMotions(voices));
        });
      }),
      { numRuns: 400 },
    );
    for (const [what, times] of Object.entries(seen)) assert.ok(times > 10, `${what} ${times} times`);
  });
});

interface Voice {
  readonly motion: string;
  readonly voter: string;
  readonly opened: number;
}

/** Every voice stands alone, with the epoch in which its motion was opened. */
function voicesAfter(voices: readonly Voice[], before: SwarmState, step: Step): Voice[] {
  const committee = votersOf(before);
  const heard = voices.filter((v) => committee.includes(v.voter) && v.opened >= step.body.epoch - MOTION_EPOCHS);
  for (const { core } of step.cut) {
    if (core.kind !== 'ballot' || !committee.includes(core.author)) continue;
    const { action, subject, epoch } = core.body;
    const motion = `${action}/${action === 'restore' ? epoch : subject}`;
    const opened = heard.find((v) => v.motion === motion)?.opened ?? step.body.epoch;
    const own = heard.filter((v) => v.voter === core.author);
    if (own.length < MAX_VOICES && !own.some((v) => v.motion === motion) && epoch < step.body.epoch)
      heard.push({ motion, voter: core.author, opened });
  }
  return heard;
}

function smallestQuorum(n: number): number {
  const table: Record<number, number> = { 0: 1, 1: 1, 2: 2, 3: 2, 4: 3, 5: 4, 6: 4, 7: 5, 8: 6 };
  return table[n] as number;
}

function canHappen(motion: string, state: SwarmState): boolean {
  const [action, subject] = motion.split('/');
  const member = state.members.find((m) => m.fingerprint === subject);
  if (action === 'restore') return true;
  if (action === 'remove') return member?.vote === 'voter';
  return member?.vote === 'none' && !['left', 'expelled'].includes(member.status);
}

const plain = (m: Motion): string => `${m.action}/${m.action === 'restore' ? m.epoch : m.subject} of ${m.opened}: ${m.ayes.join()}`;
function asMotions(voices: readonly Voice[]): string[] {
  const [restores, others] = [true, false].map((restore) =>
    [...new Set(voices.map((v) => v.motion))].filter((m) => m.startsWith('restore') === restore),
  ) as [string[], string[]];
  restores.sort((a, b) => Number(a.split('/')[1]) - Number(b.split('/')[1]));
  return [...others.sort(), ...restores].map((motion) => {
    const of = voices.filter((v) => v.motion === motion);
    return `${motion} of ${of[0]?.opened}: ${of
      .map((v) => v.voter)
      .sort()
      .join()}`;
  });
}
