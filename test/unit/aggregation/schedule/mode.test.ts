import assert from 'node:assert/strict';
import { isScheduled, modeOf, scheduleOf } from '../../../../src/aggregation/schedule/index.ts';
import type { Genesis, MemberState, SwarmState } from '../../../../src/spec/index.ts';
import { initialState } from '../../../../src/state/index.ts';
import { id, genesis as sample } from '../../wire/samples.ts';

/** 24,577 int16: one more than is gossiped inline. */
const large: Genesis = { ...sample, tensors: [{ name: 'w', shape: [24_577] }], scaleExponents: [-12] };
const small: Genesis = { ...sample, tensors: [{ name: 'w', shape: [10] }], scaleExponents: [-12] };

function stateOf(count: number, change: (i: number) => Partial<MemberState> = () => ({})): SwarmState {
  const base = initialState(sample, id(0x10), id(0));
  const [one] = base.members as readonly [MemberState];
  return { ...base, members: Array.from({ length: count }, (_, i) => ({ ...one, fingerprint: id(i), ...change(i) })) };
}

describe('the mode of an epoch', () => {
  it('is a schedule where updates do not go inline, or the genesis names one, and two may contribute', () => {
    assert.equal(isScheduled(large, stateOf(3)), true);
    assert.equal(isScheduled(small, stateOf(3)), false);
    for (const schedule of ['ring', 'grid', 'butterfly'] as const) {
      assert.equal(modeOf({ ...small, schedule }, stateOf(2)).schedule, schedule);
      assert.equal(isScheduled({ ...small, schedule }, stateOf(1)), false);
      assert.equal(scheduleOf({ ...small, schedule }, 5, 0, false).schedule, schedule);
    }
    assert.equal(isScheduled({ ...large, schedule: 'gossip' }, stateOf(3)), false);
  });

  it('counts those alone whose contribution could be rostered', () => {
    const only = (change: Partial<MemberState>) => stateOf(3, (i) => (i === 0 ? {} : change));
    for (const change of [{ nodeClass: 'relay' }, { nodeClass: 'observer' }, { status: 'left' }, { status: 'suspended' }] as const)
      assert.equal(isScheduled(large, only(change)), false, JSON.stringify(change));
    assert.equal(isScheduled(large, only({ status: 'away' })), true);
  });

  it('is never a schedule for encodings that leave values out, nor for rules beyond the members that they are told of', () => {
    assert.match(modeOf({ ...large, encoding: 'topk' }, stateOf(3)).why, /topk/);
    for (const change of [
      { encoding: 'sign' },
      { encoding: 'topk', schedule: 'ring' },
      { aggregation: 'median', encoding: 'sign' },
    ] as const)
      assert.equal(isScheduled({ ...large, ...change }, stateOf(3)), false);
    for (const [aggregation, most] of [
      ['median', 64],
      ['krum', 32],
    ] as const) {
      assert.equal(isScheduled({ ...large, aggregation }, stateOf(most)), true);
      assert.equal(isScheduled({ ...large, aggregation }, stateOf(most + 1)), false);
      assert.match(modeOf({ ...large, aggregation }, stateOf(most + 1)).why, new RegExp(`the rule ${aggregation} beyond ${most} members`));
    }
  });

  it('is a butterfly for rules over rows, whatever schedule is named and whatever links have failed, and gossip where that is named', () => {
    for (const schedule of ['auto', 'ring', 'grid', 'butterfly'] as const) {
      assert.equal(modeOf({ ...large, aggregation: 'median', schedule }, stateOf(3)).schedule, 'butterfly');
      assert.equal(scheduleOf({ ...large, aggregation: 'median', schedule }, 5, 3, true).schedule, 'butterfly');
    }
    assert.equal(isScheduled({ ...small, aggregation: 'median' }, stateOf(3)), false);
    assert.equal(isScheduled({ ...large, aggregation: 'median', schedule: 'gossip' }, stateOf(3)), false);
  });

  it('of an attempt goes on over streams, however few are left and whatever links have failed', () => {
    const tight = { ...small, tensors: [{ name: 'w', shape: [20_000] }] };
    assert.equal(isScheduled(tight, stateOf(14)), true);
    assert.equal(scheduleOf(tight, 3, 0, false).schedule, 'butterfly');
    assert.equal(scheduleOf(tight, 3, 1, false).schedule, 'ring');
    assert.equal(scheduleOf({ ...small, schedule: 'butterfly' }, 5, 1, false).schedule, 'ring');
    assert.equal(scheduleOf(tight, 1, 0, false).schedule, 'gossip');
    assert.match(scheduleOf(tight, 3, 1, true).why, /; neighbours by the links that members measured$/);
    assert.doesNotMatch(scheduleOf(tight, 3, 0, true).why, /neighbours/);
  });
});
