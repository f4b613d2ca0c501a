import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Identity } from '../../../src/crypto/index.ts';
import {
  type AggregateHeader,
  EMA_ONE,
  type Genesis,
  type NodeClass,
  type SignedEntry,
  type SwarmState,
  TRUST_ONE,
} from '../../../src/spec/index.ts';
import { initialState, reduce, type Step, stateRoot, trustOf } from '../../../src/state/index.ts';
import { makeCertificate } from '../../../src/wire/index.ts';
import { draft, hashOf, SWARM } from '../ledger/entries.ts';
import { genesis as sample } from '../wire/samples.ts';
import { contributionOf, headerOf, identityOf } from './world.ts';

const [ann, ben, cas, dan] = [1, 2, 3, 4].map(identityOf) as [Identity, Identity, Identity, Identity];
const genesis: Genesis = {
  ...sample,
  founders: [ann, ben].map((i) => makeCertificate(i, 'core', [])),
  lambda: 1,
  scaleExponents: [-12, -12],
};
const EMPTY = hashOf('empty tree');

const joinOf = (identity: Identity, nodeClass: NodeClass = 'core'): SignedEntry =>
  draft({
    author: identity.fingerprint,
    change: { kind: 'join', body: { certificate: makeCertificate(identity, nodeClass, []), invite: null } } as never,
  });

interface Given {
  readonly by?: readonly Identity[];
  readonly distances?: readonly string[];
  readonly maxAbs?: readonly number[];
  readonly cut?: readonly SignedEntry[];
  readonly block?: Step['block'];
}

/** A decision of epoch `epoch` with one contribution of each author. */
function stepOf(state: SwarmState, { by = [], distances, maxAbs = [20_000, 20_000], cut = [], block }: Given): Step {
  const epoch = state.epoch + 1;
  const header = by.length === 0 ? undefined : headerOf(epoch, distances ?? by.map(() => '10'));
  return {
    faulty: [],
    id: hashOf(`decision ${epoch}`),
    body: { epoch, prev: state.decision, roster: [], weights: [], aggregateHash: hashOf('aggregate'), dropped: [] },
    header,
    cut,
    forked: [],
    contributions: by.map((i) => ({ author: i.fingerprint, body: contributionOf(epoch, maxAbs, hashOf('u')) })),
    treeSize: state.treeSize + cut.length,
    treeRoot: hashOf(`tree ${epoch}`),
    leavesHash: hashOf(`leaves ${epoch}`),
    modelRoot: hashOf(`model ${epoch}`),
    block,
    modelRootAt: () => undefined,
  };
}

const start = (): SwarmState => initialState(genesis, SWARM, EMPTY);
const run = (given: readonly Given[], from: SwarmState = start()): SwarmState =>
  given.reduce((state, g) => reduce(genesis, SWARM, state, stepOf(state, g)), from);
const find = (state: SwarmState, who: Identity) => state.members.find((m) => m.fingerprint === who.fingerprint);

describe('the state', () => {
  it('starts with the founders, trusted alike, over the tree and the model of the genesis', () => {
    const state = start();
    assert.deepEqual(
      state.members.map((m) => m.fingerprint),
      [ann.fingerprint, ben.fingerprint].sort(),
    );
    assert.deepEqual(
      state.members.map((m) => [m.trust, m.joinedEpoch, m.lastEpoch]),
      [
        [TRUST_ONE / 2, 0, 0],
        [TRUST_ONE / 2, 0, 0],
      ],
    );
    assert.deepEqual([state.epoch, state.decision, state.treeRoot, state.modelRoot], [0, SWARM, EMPTY, genesis.initialModelRoot]);
  });

  it('takes in who joined in the cut, once, and trusts it like the rest', () => {
    const again = joinOf(cas, 'edge');
    const state = run([{ cut: [joinOf(cas), joinOf(dan, 'observer'), again] }, { cut: [joinOf(cas, 'relay')] }]);
    assert.deepEqual(
      state.members.map((m) => m.fingerprint),
      [ann, ben, cas, dan].map((i) => i.fingerprint).sort(),
    );
    assert.deepEqual([find(state, cas)?.nodeClass, find(state, cas)?.joinedEpoch], ['core', 1]);
    assert.deepEqual(
      state.members.map((m) => m.trust),
      new Array(4).fill(TRUST_ONE / 4),
    );
  });

  it('does not take a join out of the cut for a contribution', () => {
    const contribution = draft({ author: cas.fingerprint });
    assert.equal(run([{ cut: [contribution] }]).members.length, 2);
  });

  it('notes the last epoch a member contributed to', () => {
    const state = run([{ by: [ann, ben] }, { by: [ann] }, {}]);
    assert.deepEqual([find(state, ann)?.lastEpoch, find(state, ben)?.lastEpoch, state.epoch], [2, 1, 3]);
  });

  it('moves trust by the distances of the header, each to its own author', () => {
    const joined = run([{ cut: [joinOf(cas), joinOf(dan)] }]);
    const state = run([{ by: [dan, ann, ben, cas], distances: ['60', '10', '10', '10'] }], joined);
    // x = 60 / 10 - 2 = 4, a quarter of it in the average: e^-1 against three times e^0.
    assert.ok(Math.abs((find(state, dan)?.emaX ?? 0) / EMA_ONE - 1) < 1e-9);
    assert.ok(Math.abs((find(state, dan)?.trust ?? 0) / TRUST_ONE - Math.exp(-1) / (3 + Math.exp(-1))) < 1e-8);
    assert.deepEqual([find(state, ann)?.emaX, find(state, ben)?.emaX], [0, 0]);
  });

  it('takes everyone for near where nobody saw the rows, and knows who was dropped for a lie', () => {
    const far = run([{ by: [ann, ben], distances: ['10', '1000'] }]);
    const step = stepOf(far, { by: [ann, ben] });
    const opened: Step = {
      ...step,
      header: { ...(step.header as AggregateHeader), distances: [], opening: { root: hashOf('opening'), bytes: 82_000 } },
    };
    const after = reduce(genesis, SWARM, far, opened);
    assert.deepEqual(
      [find(after, ann)?.emaX, find(after, ben)?.emaX],
      [ann, ben].map((m) => Math.round(0.75 * (find(far, m)?.emaX ?? -1))),
    );
    const accused = reduce(genesis, SWARM, far, { ...opened, faulty: [ben.fingerprint] });
    assert.ok((find(accused, ben)?.trust ?? 1) < TRUST_ONE / 100_000);
  });

  it('moves the scale of each tensor by what the roster reports of it', () => {
    const state = run([
      { by: [ann, ben], maxAbs: [32_767, 100] },
      { by: [ann], maxAbs: [20_000, 0] },
    ]);
    assert.deepEqual(state.scaleExponents, [-11, -13]);
    assert.deepEqual(run([{}]).scaleExponents, genesis.scaleExponents);
  });

  it('weighs an author whose join is not ordered yet like the average member', () => {
    const state = run([{ by: [ann, ben], distances: ['10', '1000'] }]);
    assert.equal(trustOf(state, ann.fingerprint), find(state, ann)?.trust);
    assert.equal(trustOf(state, cas.fingerprint), TRUST_ONE / 2);
  });
});

describe('the state root', () => {
  /** Made once: what another version of Starling says of the same decisions. */
  const GOLDEN = '3b432c9a59e42e1010310f252baf335efbf8e72b006413b99a650e03f96814b3';
  const history: Given[] = [
    { cut: [joinOf(cas), joinOf(dan, 'edge')] },
    { by: [ann, ben, cas, dan], distances: ['10', '12', '9', '90'], maxAbs: [30_000, 3] },
    { block: { timeMs: 1_000, evidence: [], rosterHash: hashOf('none') } },
    { by: [ben, dan], distances: ['4', '4'], block: { timeMs: 2_000, evidence: [], rosterHash: hashOf('roster') } },
  ];

  it('is the same for the same decisions, and has not changed since it was written down', () => {
    assert.equal(stateRoot(run(history)), stateRoot(run(history)));
    assert.equal(stateRoot(run(history)), GOLDEN);
  });

  it('changes with everything that the rules derive', () => {
    const state = run(history);
    const [first, ...rest] = state.members as [SwarmState['members'][0], ...SwarmState['members']];
    const others: SwarmState[] = [
      { ...state, epoch: state.epoch + 1 },
      { ...state, refused: true },
      { ...state, scaleExponents: [-12, -11] },
      { ...state, treeSize: state.treeSize + 1 },
      { ...state, treeRoot: hashOf('other') },
      { ...state, modelRoot: hashOf('other') },
      { ...state, members: rest },
      ...(['joinedEpoch', 'lastEpoch', 'emaX', 'farStreak', 'trust'] as const).map((key) => ({
        ...state,
        members: [{ ...first, [key]: first[key] + 1 }, ...rest],
      })),
      { ...state, members: [{ ...first, nodeClass: 'relay' as const }, ...rest] },
      { ...state, members: [{ ...first, fingerprint: hashOf('other') }, ...rest] },
    ];
    const roots = [state, ...others].map(stateRoot);
    assert.equal(new Set(roots).size, roots.length);
  });

  it('depends on the decisions alone, not on what was reduced before or how often', () => {
    const given = fc.record({
      by: fc.subarray([ann, ben, cas]),
      maxAbs: fc.tuple(fc.nat(40_000), fc.nat(40_000)),
      cut: fc.subarray([joinOf(cas), joinOf(dan)]),
    });
    fc.assert(
      fc.property(fc.array(given, { maxLength: 6 }), fc.nat(6), (all, from) => {
        const whole = run(all);
        assert.equal(stateRoot(run(all.slice(from), run(all.slice(0, from)))), stateRoot(whole));
        assert.ok(Math.abs(whole.members.reduce((s, m) => s + m.trust, 0) - TRUST_ONE) <= whole.members.length);
      }),
    );
  });
});
