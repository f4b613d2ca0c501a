import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { fromHex, leafHash, merkleRoot, toHex } from '../../../src/crypto/index.ts';
import { verifyInclusion } from '../../../src/ledger/index.ts';
import { StarlingError, type SwarmState, TRUST_ONE } from '../../../src/spec/index.ts';
import { eventOf, initialState, proveState, recordsOf, reduce, stateLeaves, stateRoot, trustOf } from '../../../src/state/index.ts';
import { nextEventHash, recordLeaf } from '../../../src/wire/index.ts';
import { hashOf, SWARM } from '../ledger/entries.ts';
import { ballot, EMPTY, find, genesisOf, inviteBy, joins, run, says, stepOf, votedTwice, who } from './world.ts';

const four = genesisOf([0, 1, 2, 3]);
const start = initialState(four, SWARM, EMPTY);
const sha256 = (...parts: Uint8Array[]): string => createHash('sha256').update(Buffer.concat(parts)).digest('hex');

describe('the records of a block', () => {
  const step = stepOf(start, { by: [2, 0, 5, 1], distances: ['10', '10', '10', '60'] });
  const after = reduce(four, SWARM, start, step);

  it('say what each contribution did to the trust in its author, in roster order', () => {
    const records = recordsOf(start, after, step);
    assert.deepEqual(
      records.map((r) => r.nodeId),
      [2, 0, 5, 1].map(who),
    );
    records.forEach((r, i) => {
      assert.deepEqual([r.deltaHash, r.parentBlock], [step.contributions[i]?.body.updateHash, start.decision]);
      assert.deepEqual([r.trustBefore, r.trustAfter], [trustOf(start, r.nodeId), trustOf(after, r.nodeId)]);
    });
    assert.equal(records[3]?.trustBefore, TRUST_ONE / 4);
    assert.ok((records[3]?.trustAfter ?? 1) < TRUST_ONE / 8);
  });

  it('leave out who was dropped, whose weight is in no entropy', () => {
    const three = stepOf(start, { by: [0, 1], weights: [2, 2, 60_000] });
    const roster = ['a', 'b', 'c'].map((name) => hashOf(name));
    const drop = { id: hashOf('c'), why: 'unreachable', by: [who(0)], at: null } as const;
    const body = { ...three.body, roster, dropped: [drop] };
    const dropped = reduce(four, SWARM, start, { ...three, body });
    assert.equal(eventOf(start, dropped, { ...three, body }).fusionEntropy, 2 ** 30);
    assert.notEqual(eventOf(start, dropped, { ...three, body: { ...body, dropped: [] } }).fusionEntropy, 2 ** 30);
    assert.equal(recordsOf(start, dropped, { ...three, body }).length, 2);
  });

  it('are the leaves of the records root', () => {
    const leaves = recordsOf(start, after, step).map((r) => leafHash(recordLeaf(r)));
    assert.equal(after.recordsRoot, toHex(merkleRoot(leaves)));
    assert.equal(run(four, [{}], after).recordsRoot, EMPTY_ROOT);
  });

  it('do not move in a provisional step, and neither does the chain of events', () => {
    const provisional = run(four, [{ by: [0, 1], provisional: true }], after);
    assert.deepEqual([provisional.recordsRoot, provisional.eventHash], [after.recordsRoot, after.eventHash]);
    assert.throws(() => eventOf(after, provisional, stepOf(after, { provisional: true })), RangeError);
  });
});

const EMPTY_ROOT = sha256();

describe('the event of a block', () => {
  it('holds its time, its tree and roster, its entropy, its compliance and its records', () => {
    const step = stepOf(start, {
      by: [0, 1],
      weights: [3, 1],
      timeMs: 77,
      verdicts: [
        [0, true],
        [1, true],
        [2, false],
      ],
    });
    const after = reduce(four, SWARM, start, step);
    const event = eventOf(start, after, step);
    const entropy = -(0.75 * Math.log2(0.75) + 0.25 * Math.log2(0.25));
    assert.ok(Math.abs(event.fusionEntropy / 2 ** 30 - entropy) < 2e-9);
    assert.deepEqual(event, {
      timestamp: 77,
      metaHash: sha256(Buffer.from('starling/meta/1\0'), fromHex(step.treeRoot), fromHex(hashOf('roster 1'))),
      fusionEntropy: event.fusionEntropy,
      complianceScore: Math.round((2 / 3) * 2 ** 30),
      federatedHash: after.recordsRoot,
    });
    assert.equal(after.eventHash, nextEventHash('00'.repeat(32), event));
    const empty = stepOf(after, {});
    assert.equal(eventOf(after, after, empty).complianceScore, 2 ** 30);
    const next = reduce(four, SWARM, after, empty);
    assert.equal(next.eventHash, nextEventHash(after.eventHash, eventOf(after, next, empty)));
  });
});

describe('the proof of the state', () => {
  const invite = inviteBy(0, { vote: true, uses: 3 });
  const state = run(four, [
    { cut: [joins(4, invite), joins(5)], by: [0, 1] },
    { cut: [ballot(0, 'admit', who(5), 1), ballot(1, 'restore', null, 1)] },
  ]);
  const proves = (s: SwarmState, name: string, root: string): boolean => {
    const proof = proveState(s, name);
    return verifyInclusion(leafHash(proof.leaf), proof.index, proof.size, proof.path.map(fromHex), fromHex(root));
  };

  it('leads from every leaf to the state root, over three hashes', () => {
    assert.equal(stateLeaves(state).length, 8);
    for (const { name } of stateLeaves(state)) {
      assert.ok(proves(state, name, stateRoot(state)), name);
      assert.equal(proveState(state, name).path.length, 3);
    }
    assert.throws(
      () => proveState(state, 'weather'),
      (e) => e instanceof StarlingError && e.code === 'NOT_FOUND',
    );
  });

  it('covers everything but the decision that led here', () => {
    assert.equal(stateRoot({ ...state, decision: hashOf('other') }), stateRoot(state));
    const [first, ...rest] = state.members as [SwarmState['members'][0], ...SwarmState['members']];
    const [motion, other] = state.motions as [SwarmState['motions'][0], SwarmState['motions'][0]];
    const [used] = state.invites as [SwarmState['invites'][0]];
    const changed: Record<string, SwarmState[]> = {
      model: [
        { ...state, modelRoot: hashOf('other') },
        { ...state, refused: true },
      ],
      records: [{ ...state, recordsRoot: hashOf('other') }],
      event: [{ ...state, eventHash: hashOf('other') }],
      ledger: [
        { ...state, treeSize: 99 },
        { ...state, treeRoot: hashOf('other') },
      ],
      scales: [{ ...state, scaleExponents: [-12, -11] }],
      members: [
        ...(['joinedEpoch', 'lastEpoch', 'emaX', 'farStreak', 'trust'] as const).map((key) => ({ ...first, [key]: first[key] + 1 })),
        { ...first, fingerprint: hashOf('other') },
        { ...first, nodeClass: 'relay' as const },
        { ...first, status: 'away' as const },
        { ...first, vote: 'granted' as const },
      ].map((member) => ({ ...state, members: [member, ...rest] })),
      invites: [
        { ...used, issuer: who(1) },
        { ...used, nonce: '00'.repeat(16) },
        { ...used, used: 2 },
      ].map((i) => ({ ...state, invites: [i] })),
      motions: [
        { ...motion, action: 'remove' as const },
        { ...motion, subject: who(4) },
        { ...motion, epoch: 9 },
        { ...motion, opened: 9 },
        { ...motion, ayes: [] },
      ].map((m) => ({ ...state, motions: [m, other] })),
    };
    assert.deepEqual(
      Object.keys(changed).sort(),
      stateLeaves(state)
        .map((l) => l.name)
        .sort(),
    );
    for (const [name, states] of Object.entries(changed)) {
      for (const one of states) {
        assert.equal(proves(one, name, stateRoot(state)), false, name);
        // No other leaf moves.
        const same = stateLeaves(one).filter(
          (leaf, i) => Buffer.compare(leaf.bytes, stateLeaves(state)[i]?.bytes ?? new Uint8Array()) === 0,
        );
        assert.equal(same.length, 7, name);
      }
    }
    const later = { ...state, epoch: state.epoch + 1 };
    for (const { name } of stateLeaves(later)) assert.equal(proves(later, name, stateRoot(state)), false, name);
  });
});

describe('trust', () => {
  it('is shared by those who neither left nor were expelled', () => {
    const joined = run(four, [{ cut: [joins(4), joins(5)] }]);
    assert.equal(find(joined, 5)?.trust, Math.round(TRUST_ONE / 6));
    const state = run(four, [{ cut: [says(4, 'leave')], evidence: [votedTwice(3)] }], joined);
    assert.deepEqual(
      [0, 1, 2, 3, 4, 5].map((n) => find(state, n)?.trust),
      [1, 1, 1, 0, 0, 1].map((share) => share * (TRUST_ONE / 4)),
    );
    assert.equal(trustOf(state, who(7)), TRUST_ONE / 4);
    const back = run(four, [{ cut: [says(4, 'resume')] }], state);
    assert.equal(find(back, 4)?.trust, Math.round(TRUST_ONE / 5));
  });
});
