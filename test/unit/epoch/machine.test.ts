import assert from 'node:assert/strict';
import fc from 'fast-check';
import { awaited, type EpochFacts, type MachineEffect, type MachineEvent, type MachineState, step } from '../../../src/epoch/machine.ts';

const facts = (given: Partial<EpochFacts> = {}): EpochFacts => ({
  epoch: 7,
  base: 'base',
  recent: new Set(),
  trainers: new Map(),
  seen: new Set(),
  held: new Set(),
  deadlineMs: 1_000,
  patienceMs: 2_500,
  membershipMs: 300,
  ...given,
});
const idle = (given?: Partial<EpochFacts>): MachineState => ({ phase: 'idle', facts: facts(given) });

interface Trace {
  readonly state: MachineState;
  readonly effects: MachineEffect[];
}

/** The last state and what the last event set off. */
const run = (state: MachineState, ...events: MachineEvent[]): Trace =>
  events.reduce<Trace>(
    (trace, event) => {
      const next = step(trace.state, event);
      return { state: next.state, effects: [...next.effects] };
    },
    { state, effects: [] },
  );

const seen = (nowMs: number, author?: string): MachineEvent => ({ type: 'seen', author, nowMs });
const membership = (nowMs: number): MachineEvent => ({ type: 'membership', nowMs });
const held = (author: string, nowMs = 0): MachineEvent => ({ type: 'held', author, nowMs });
const trainers = (node: string, attached: boolean, nowMs = 0): MachineEvent => ({ type: 'trainers', node, attached, nowMs });
const attested = (attesters: number, seats: number, nowMs = 0): MachineEvent => ({ type: 'attested', attesters, seats, nowMs });
const timer = (nowMs: number): MachineEvent => ({ type: 'timer', nowMs });
const settled: MachineEvent = { type: 'settled', roster: ['x', 'y'] };
/** Provisionally, or for the committee to vote on. */
const averaged: MachineEvent = { type: 'averaged', final: false };
const forVote: MachineEvent = { type: 'averaged', final: true };
const begin: MachineEvent = { type: 'begin', facts: facts({ epoch: 8, base: 'next' }) };

const collecting = run(idle({ recent: new Set(['a', 'b']) }), seen(100)).state;
const negotiating = run(collecting, timer(1_100)).state;
const averaging = run(negotiating, settled).state;
const voting = run(averaging, forVote).state;
const applying = run(averaging, averaged).state;
const BY_PHASE = { idle: idle({ recent: new Set(['a', 'b']) }), collecting, negotiating, averaging, voting, applying };
type Phase = keyof typeof BY_PHASE;

describe('the epoch machine', () => {
  /** From each phase, with each event: where it leads and what it sets off. Whatever is not named stays. */
  const TABLE: [Phase, MachineEvent, Phase, MachineEffect['type'][]][] = [
    ['idle', seen(100), 'collecting', ['wakeAt']],
    ['idle', membership(100), 'collecting', ['wakeAt']],
    ['idle', held('a', 100), 'collecting', ['wakeAt']],
    ['idle', attested(2, 5, 100), 'negotiating', ['freeze']],
    ['idle', attested(1, 3, 100), 'idle', []],
    ['idle', timer(9_999), 'idle', []],
    ['collecting', held('a', 200), 'collecting', []],
    ['collecting', trainers('c', true, 200), 'collecting', []],
    ['collecting', attested(1, 2, 200), 'negotiating', ['freeze']],
    ['collecting', attested(1, 3, 200), 'collecting', []],
    ['collecting', timer(1_099), 'collecting', []],
    ['collecting', timer(1_100), 'negotiating', ['freeze']],
    ['negotiating', settled, 'averaging', ['average']],
    ['averaging', averaged, 'applying', []],
    ['averaging', forVote, 'voting', []],
    ['voting', forVote, 'voting', []],
    // The quorum is out of reach: what was to be voted on is decided provisionally.
    ['voting', averaged, 'applying', []],
  ];
  const EVENTS = [
    seen(5_000),
    membership(5_000),
    held('a', 5_000),
    trainers('a', true, 5_000),
    attested(3, 3, 5_000),
    timer(5_000),
    settled,
    averaged,
    forVote,
  ];

  for (const [from, event, to, effects] of TABLE) {
    it(`${from} --${JSON.stringify(event)}--> ${to}`, () => {
      const next = step(BY_PHASE[from], event);
      assert.equal(next.state.phase, to);
      assert.deepEqual(
        next.effects.map((e) => e.type),
        effects,
      );
    });
  }

  it('begins anew from every phase, with other facts', () => {
    for (const state of Object.values(BY_PHASE)) {
      const next = step(state, begin);
      assert.deepEqual([next.state.phase, next.state.facts.epoch, next.effects], ['idle', 8, []]);
    }
  });

  it('stays where it is on every event that the table does not name', () => {
    for (const phase of ['negotiating', 'averaging', 'voting', 'applying'] as const) {
      for (const event of EVENTS) {
        if (TABLE.some(([from, named]) => from === phase && named.type === event.type)) continue;
        const next = step(BY_PHASE[phase], event);
        assert.deepEqual([next.state.phase, next.effects], [phase, []], `${phase} ${event.type}`);
      }
    }
    for (const event of [settled, averaged, forVote]) {
      for (const phase of ['idle', 'collecting'] as const) assert.equal(step(BY_PHASE[phase], event).state.phase, phase);
    }
  });

  it('averages the roster that was settled', () => {
    assert.deepEqual(step(negotiating, settled).effects, [{ type: 'average', roster: ['x', 'y'] }]);
  });

  it('freezes as soon as all that are awaited are held, and not before', () => {
    const waits = run(idle({ recent: new Set(['a', 'b']) }), held('a', 10));
    assert.equal(waits.state.phase, 'collecting');
    assert.equal(run(waits.state, held('b', 20)).state.phase, 'negotiating');
    assert.equal(run(waits.state, trainers('b', false, 20)).state.phase, 'negotiating', 'b says that it has no trainer');
    const more = run(waits.state, trainers('c', true, 15), held('b', 20));
    assert.equal(more.state.phase, 'collecting', 'c announced a trainer');
    assert.equal(run(more.state, held('c', 30)).state.phase, 'negotiating');
    assert.equal(run(idle(), held('a', 10)).state.phase, 'negotiating', 'nobody else is awaited');
    const onItsWay = run(idle(), seen(5, 'b'), held('a', 10));
    assert.equal(onItsWay.state.phase, 'collecting', 'the entry of b is here');
    assert.equal(run(onItsWay.state, held('b', 20)).state.phase, 'negotiating');
    assert.equal(run(onItsWay.state, timer(1_005)).state.phase, 'negotiating', 'nobody is awaited beyond the deadline');
  });

  it('does not freeze over membership alone before its time, however few are awaited', () => {
    assert.equal(run(idle(), membership(0), trainers('a', false, 10)).state.phase, 'collecting');
    const waiting = run(idle(), membership(0)).state;
    assert.equal(run(waiting, timer(299)).state.phase, 'collecting');
    assert.equal(run(waiting, timer(300)).state.phase, 'negotiating');
  });

  it('gives contributions the full deadline, from the first of them on', () => {
    const freezeAt = (state: MachineState) => (state.phase === 'collecting' ? state.freezeAtMs : undefined);
    assert.equal(freezeAt(run(idle(), membership(0)).state), 300);
    assert.equal(freezeAt(run(idle(), membership(0), seen(200)).state), 1_200);
    assert.equal(freezeAt(run(idle(), membership(0), seen(200), seen(700)).state), 1_200);
    assert.equal(freezeAt(run(idle({ recent: new Set(['a']) }), membership(0)).state), 2_500, 'a trainer is awaited');
    assert.equal(freezeAt(run(idle(), seen(50), membership(60)).state), 1_050);
  });
});

describe('who is awaited', () => {
  it('is a recent contributor who does not say otherwise, whoever announces a trainer, and whose entry is here', () => {
    const names = fc.constantFrom('a', 'b', 'c', 'd', 'e');
    fc.assert(
      fc.property(fc.uniqueArray(names), fc.array(fc.tuple(names, fc.boolean())), fc.uniqueArray(names), (recent, said, entered) => {
        const given = facts({ recent: new Set(recent), trainers: new Map(said), seen: new Set(entered) });
        const expected = ['a', 'b', 'c', 'd', 'e'].filter((n) => given.seen.has(n) || (given.trainers.get(n) ?? given.recent.has(n)));
        assert.deepEqual(awaited(given).sort(), expected);
      }),
    );
  });
});

describe('the epoch machine, whatever happens', () => {
  const author = fc.constantFrom('a', 'b', 'c', 'd');
  /** Time passes before each event; it never goes back. */
  const happening = fc.record({
    waitMs: fc.nat(400),
    event: fc.oneof(
      fc.option(author, { nil: undefined }).map<MachineEvent>((a) => seen(0, a)),
      fc.constant<MachineEvent>({ type: 'membership', nowMs: 0 }),
      author.map<MachineEvent>((a) => held(a)),
      fc.tuple(author, fc.boolean()).map<MachineEvent>(([a, attached]) => trainers(a, attached)),
      fc.tuple(fc.nat(5), fc.integer({ min: 1, max: 5 })).map<MachineEvent>(([n, seats]) => attested(Math.min(n, seats), seats)),
      fc.constant(settled),
      fc.constant(averaged),
      fc.constant(forVote),
      fc.constant(begin),
    ),
  });
  const starts = fc.record({
    recent: fc.uniqueArray(author),
    deadlineMs: fc.integer({ min: 1, max: 2_000 }),
    patienceMs: fc.integer({ min: 1, max: 2_000 }),
    membershipMs: fc.integer({ min: 1, max: 2_000 }),
  });
  const GRAPH = new Set([
    'idle>collecting',
    'idle>negotiating',
    'collecting>negotiating',
    'negotiating>averaging',
    'averaging>applying',
    'averaging>voting',
    'voting>applying',
  ]);

  it('never leaves the declared graph, freezes once an epoch at most and by its deadline', () => {
    fc.assert(
      fc.property(starts, fc.array(happening, { maxLength: 40 }), (start, happenings) => {
        let state = idle({ ...start, recent: new Set(start.recent) });
        let nowMs = 0;
        let wakeAtMs: number | undefined;
        let freezes = 0;
        let startedMs: number | undefined;
        const dispatch = (event: MachineEvent) => {
          const before = state.phase;
          const { membershipMs, patienceMs, deadlineMs } = state.facts;
          const next = step(state, 'nowMs' in event ? { ...event, nowMs } : event);
          state = next.state;
          if (event.type === 'begin') {
            [freezes, wakeAtMs, startedMs] = [0, undefined, undefined];
          } else if (before !== state.phase)
            assert.ok(GRAPH.has(`${before}>${state.phase}`), `${before} > ${state.phase} on ${event.type}`);
          if (before === 'idle' && state.phase !== 'idle') startedMs = nowMs;
          for (const effect of next.effects) {
            if (effect.type === 'wakeAt') wakeAtMs = effect.atMs;
            if (effect.type === 'freeze') freezes += 1;
            if (effect.type === 'average') assert.equal(state.phase, 'averaging');
          }
          assert.ok(freezes <= 1, 'froze twice');
          assert.equal(freezes === 1, state.phase !== 'idle' && state.phase !== 'collecting');
          if (state.phase === 'collecting') {
            assert.equal(wakeAtMs, state.freezeAtMs, 'a timer is set for the end of collecting');
            assert.ok(state.freezeAtMs <= (startedMs as number) + Math.max(membershipMs, patienceMs) + deadlineMs);
            const all = awaited(state.facts).every((a) => state.facts.held.has(a));
            if (event.type === 'held' || event.type === 'trainers')
              assert.ok(state.facts.held.size === 0 || !all, 'all are held and it still waits');
          }
        };
        for (const { waitMs, event } of happenings) {
          nowMs += waitMs;
          // A clock that keeps time: what was due comes before what happens now.
          if (wakeAtMs !== undefined && wakeAtMs <= nowMs) {
            dispatch({ type: 'timer', nowMs });
            assert.notEqual(state.phase, 'collecting');
          }
          dispatch(event);
        }
      }),
      { numRuns: 500 },
    );
  });
});
