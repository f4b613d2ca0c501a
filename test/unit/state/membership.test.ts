import assert from 'node:assert/strict';
import type { Invite } from '../../../src/spec/index.ts';
import { mayContributeNow } from '../../../src/state/index.ts';
import { hashOf } from '../ledger/entries.ts';
import { ballot, find, type Given, genesisOf, inviteBy, joins, run, says, votedTwice, voters, who } from './world.ts';

const three = genesisOf([0, 1, 2]);
const four = genesisOf([0, 1, 2, 3]);

describe('admission', () => {
  const closed = genesisOf([0], { admission: 'invite' });
  const admitted = (invite: Invite | null, given: Given = {}, genesis = closed) =>
    find(run(genesis, [{ cut: [joins(1, invite)], ...given }]), 1) !== undefined;

  it('by invite takes in who brings a valid one, and nobody else', () => {
    assert.equal(admitted(inviteBy(0)), true);
    assert.equal(admitted(null), false);
    assert.equal(admitted(inviteBy(0, { swarm: hashOf('another') })), false);
    assert.equal(admitted(inviteBy(0, { nodeClass: 'edge' })), false, 'another class than the certificate');
    assert.equal(admitted(inviteBy(2)), false, 'the issuer is a stranger');
    assert.equal(admitted({ ...inviteBy(0), uses: 2 }), false, 'the signature is over something else');
    assert.equal(admitted({ ...inviteBy(2), issuer: who(0) }), false, 'signed with the keys of another');
  });

  it('counts an invite as expired after its time, by the clock of the block', () => {
    assert.equal(admitted(inviteBy(0), { timeMs: 1_000 }), true);
    assert.equal(admitted(inviteBy(0), { timeMs: 1_001 }), false);
    assert.equal(admitted(inviteBy(0), { provisional: true }), true, 'a provisional step has no time');
  });

  it('takes contributing invites of any member that may vote by class, and of no one else', () => {
    const edge = run(closed, [{ cut: [joins(2, inviteBy(0, { nodeClass: 'edge' }), 'edge')] }]);
    assert.equal(find(run(closed, [{ cut: [joins(1, inviteBy(2))] }], edge), 1), undefined);
    const core = run(closed, [{ cut: [joins(2, inviteBy(0))] }]);
    const later = run(closed, [{ cut: [joins(1, inviteBy(2))] }], core);
    assert.equal(find(later, 1)?.vote, 'none');
    const gone = run(closed, [{ cut: [says(2, 'leave')] }, { cut: [joins(1, inviteBy(2))] }], core);
    assert.equal(find(gone, 1), undefined);
    // An invite to vote that does not come from a voter is none at all.
    assert.equal(find(run(closed, [{ cut: [joins(1, inviteBy(2, { vote: true }))] }], core), 1), undefined);
  });

  it('stops at the number of uses, within a block and over blocks', () => {
    const twice = inviteBy(0, { uses: 2 });
    const all = [joins(1, twice), joins(2, twice), joins(3, twice)];
    const together = run(closed, [{ cut: all }]);
    assert.deepEqual(
      [1, 2, 3].map((n) => find(together, n) !== undefined),
      [true, true, false],
    );
    const apart = run(
      closed,
      all.map((join) => ({ cut: [join] })),
    );
    assert.deepEqual(apart.invites, [{ issuer: who(0), nonce: twice.nonce, used: 2 }]);
    assert.equal(find(apart, 3), undefined);
    // The same author again costs no second use.
    const again = run(closed, [{ cut: [joins(1, twice), joins(1, twice)] }, { cut: [joins(1, twice)] }]);
    assert.deepEqual(
      again.invites.map((i) => i.used),
      [1],
    );
  });

  it('keeps its count of uses sorted', () => {
    const nonces = ['ff', '00', '7a'].map((b) => b.repeat(16));
    const state = run(closed, [{ cut: nonces.map((nonce, i) => joins(i + 1, inviteBy(0, { nonce }))) }]);
    assert.deepEqual(
      state.invites.map((i) => i.nonce),
      [...nonces].sort(),
    );
  });

  it('when open takes in everyone as a plain member, whatever invite it brings', () => {
    const open = genesisOf([0]);
    for (const invite of [null, inviteBy(2, { vote: true }), inviteBy(0, { vote: true, expiresMs: 1 })]) {
      const member = find(run(open, [{ cut: [joins(1, invite)] }]), 1);
      assert.deepEqual([member?.status, member?.vote], ['active', 'none']);
    }
  });

  it('says who may contribute', () => {
    const open = genesisOf([0]);
    const states = [{ cut: [joins(1)] }, { cut: [says(1, 'away')] }, { forked: [1] }, { cut: [says(1, 'leave')] }];
    const may = [1, 2, 3, 4].map((n) => mayContributeNow(run(open, states.slice(0, n)), who(1), 'core', open));
    assert.deepEqual(may, [true, true, false, false]);
    assert.equal(mayContributeNow(run(open, []), who(1), 'edge', open), true, 'a join earlier in its chain is enough');
    assert.equal(mayContributeNow(run(open, []), who(1), 'relay', open), false);
    assert.equal(mayContributeNow(run(closed, []), who(1), 'core', closed), false);
    const relay = run(open, [{ cut: [joins(1, null, 'relay')] }]);
    assert.equal(mayContributeNow(relay, who(1), 'core', open), false, 'a member has the class it joined with');
  });
});

describe('the committee', () => {
  const invited = (n: number) => joins(n, inviteBy(0, { vote: true, uses: 9 }));

  it('starts with the founders of a class that may vote', () => {
    assert.deepEqual(voters(run(three, [])), [0, 1, 2]);
  });

  it('has a second node wait for a third', () => {
    const one = genesisOf([0]);
    const two = run(one, [{ cut: [invited(1)] }, {}]);
    assert.deepEqual(voters(two), [0]);
    assert.equal(find(two, 1)?.vote, 'granted');
    assert.deepEqual(voters(run(one, [{ cut: [invited(2)] }], two)), [0, 1, 2]);
    assert.deepEqual(voters(run(one, [{ cut: [invited(1), invited(2), invited(3)] }])), [0, 1, 2, 3]);
  });

  it('takes in nobody who merely joined, who is away, or in a provisional step', () => {
    const one = genesisOf([0]);
    assert.deepEqual(voters(run(one, [{ cut: [1, 2, 3, 4].map((n) => joins(n)) }, {}])), [0]);
    assert.deepEqual(voters(run(one, [{ cut: [invited(1), invited(2), says(2, 'away')] }, {}])), [0]);
    assert.deepEqual(voters(run(one, [{ provisional: true, cut: [invited(1), invited(2)] }])), [0]);
  });

  it('under open voting has every active member whose class may vote', () => {
    const demo = genesisOf([0], { voting: 'open' });
    assert.deepEqual(voters(run(demo, [{ cut: [joins(1), joins(2, null, 'edge')] }])), [0]);
    assert.deepEqual(voters(run(demo, [{ cut: [joins(1), joins(2, null, 'edge'), joins(3, null, 'relay')] }])), [0, 1, 3]);
  });

  it('grants the vote to who joins again with an invite, and to no class that may not have it', () => {
    const joined = run(three, [{ cut: [joins(3), joins(4, null, 'edge')] }]);
    const state = run(three, [{ cut: [invited(3), joins(4, inviteBy(0, { nonce: '01'.repeat(16), nodeClass: 'edge' }), 'edge')] }], joined);
    assert.deepEqual([voters(state), find(state, 4)?.vote], [[0, 1, 2, 3], 'none']);
    // The other class, which the member does not have, is not to be had this way.
    assert.equal(find(run(three, [{ cut: [invited(4)] }], joined), 4)?.vote, 'none');
  });

  it('counts who is away, and who is suspended', () => {
    const state = run(three, [{ cut: [says(0, 'away')], forked: [1] }]);
    assert.deepEqual([voters(state), find(state, 0)?.status, find(state, 1)?.status], [[0, 1, 2], 'away', 'suspended']);
  });

  it('lets a voter leave where one remains or at least three, and keeps the wish until then', () => {
    assert.deepEqual(voters(run(four, [{ cut: [says(0, 'leave')] }])), [1, 2, 3]);
    const waiting = run(three, [{ cut: [says(1, 'leave')] }, {}]);
    assert.deepEqual([voters(waiting), find(waiting, 1)?.status], [[0, 1, 2], 'left']);
    assert.deepEqual(voters(run(three, [{ cut: [invited(3)] }], waiting)), [0, 2, 3]);
    assert.deepEqual(voters(run(three, [{ cut: [says(2, 'leave')] }], waiting)), [0], 'two of three: one remains');
    assert.deepEqual(voters(run(four, [{ cut: [0, 1, 2, 3].map((n) => says(n, 'leave')) }])), [3]);
    const withdrawn = run(three, [{ cut: [says(1, 'resume')] }, { cut: [invited(3)] }], waiting);
    assert.deepEqual(voters(withdrawn), [0, 1, 2, 3]);
  });

  it('gives the vote back to nobody who has left', () => {
    const state = run(four, [{ cut: [says(0, 'leave')] }, { cut: [says(0, 'resume')] }, {}]);
    assert.deepEqual([find(state, 0)?.status, find(state, 0)?.vote, voters(state)], ['active', 'none', [1, 2, 3]]);
    const granted = run(genesisOf([0]), [{ cut: [invited(1)] }, { cut: [says(1, 'leave')] }, { cut: [says(1, 'resume')] }]);
    assert.equal(find(granted, 1)?.vote, 'none');
  });

  it('has a member say nothing for a stranger or an expelled one', () => {
    assert.equal(run(three, [{ cut: [says(5, 'resume')] }]).members.length, 3);
    const state = run(four, [{ evidence: [votedTwice(0)] }, { cut: [says(0, 'resume')] }, { cut: [invited(0)] }]);
    assert.deepEqual([find(state, 0)?.status, find(state, 0)?.vote], ['expelled', 'none']);
  });
});

describe('evidence', () => {
  it('expels for two votes at once and for good, and takes the trust away', () => {
    const state = run(four, [{ evidence: [votedTwice(2)] }]);
    assert.deepEqual([voters(state), find(state, 2)?.trust], [[0, 1, 3], 0]);
    const small = run(three, [{ evidence: [votedTwice(2)] }]);
    assert.deepEqual(voters(small), [0, 1], 'two, who are a quorum together');
    assert.deepEqual(voters(run(three, [{ cut: [ballot(0, 'remove', who(1), 1), ballot(1, 'remove', who(1), 1)] }], small)), [0, 1]);
    const filled = run(three, [{ cut: [joins(3, inviteBy(0, { vote: true }))] }], small);
    assert.deepEqual(voters(filled), [0, 1, 3]);
  });

  it('suspends for a forked chain until the author resumes in a later block', () => {
    const suspended = run(four, [{ forked: [1], cut: [says(1, 'resume')] }]);
    assert.equal(find(suspended, 1)?.status, 'suspended');
    assert.equal(find(run(four, [{ cut: [says(1, 'away')] }], suspended), 1)?.status, 'suspended');
    assert.equal(find(run(four, [{ cut: [says(1, 'resume')] }], suspended), 1)?.status, 'active');
    assert.equal(find(run(four, [{ evidence: [votedTwice(1)] }], suspended), 1)?.status, 'expelled');
    assert.equal(find(run(four, [{ evidence: [votedTwice(1)], forked: [1] }]), 1)?.status, 'expelled');
  });

  it('is of no concern where nobody knows the accused', () => {
    assert.deepEqual(run(four, [{ evidence: [votedTwice(6)], forked: [7] }]).members, run(four, [{}]).members);
  });
});
