import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { faultsOf, proposerOrder, quorumOf, verifyQuorum } from '../../../src/consensus/index.ts';
import { type QuorumCertificate, StarlingError, type Vote } from '../../../src/spec/index.ts';

const node = (i: number): string => createHash('sha256').update(`node ${i}`).digest('hex');
const voters = (n: number): string[] => Array.from({ length: n }, (_, i) => node(i)).sort();
const PREV = node(1_000);

describe('proposerOrder', () => {
  it('sorts by sha256(domain || 0 || prev || epoch || fingerprint)', () => {
    const rank = (voter: string): string =>
      createHash('sha256')
        .update('starling/proposer/1\0')
        .update(Buffer.from(PREV, 'hex'))
        .update('17')
        .update(Buffer.from(voter, 'hex'))
        .digest('hex');
    const expected = voters(7).sort((a, b) => (rank(a) < rank(b) ? -1 : 1));
    assert.deepEqual(proposerOrder(PREV, 17, voters(7)), expected);
  });

  it('does not depend on the order of the voters, and is another for another epoch or block', () => {
    const order = proposerOrder(PREV, 1, voters(10));
    assert.deepEqual(proposerOrder(PREV, 1, voters(10).reverse()), order);
    assert.notDeepEqual(proposerOrder(PREV, 2, voters(10)), order);
    assert.notDeepEqual(proposerOrder(node(1_001), 1, voters(10)), order);
  });

  it('gives everyone a first turn about equally often', () => {
    const turns = new Map<string, number>();
    for (let epoch = 1; epoch <= 4_000; epoch++) {
      const first = proposerOrder(PREV, epoch, voters(4))[0] as string;
      turns.set(first, (turns.get(first) ?? 0) + 1);
    }
    // 1,000 each; five standard deviations of the binomial distribution are 137.
    for (const voter of voters(4)) assert.ok(Math.abs((turns.get(voter) ?? 0) - 1_000) < 137);
  });
});

describe('verifyQuorum', () => {
  const good = (n = 4): QuorumCertificate => {
    const votes = voters(n).slice(0, quorumOf(n));
    return {
      epoch: 5,
      round: 2,
      step: 'precommit',
      block: node(9),
      votes: votes.map((voter) => ({ voter, signature: Buffer.from(voter, 'hex') })),
    };
  };
  const isSigned = (vote: Vote): boolean => Buffer.from(vote.signature).toString('hex') === vote.voter;
  const refuses = (certificate: QuorumCertificate, code: string, facts: object, n = 4): void =>
    assert.throws(
      () => verifyQuorum(certificate, voters(n), isSigned),
      (error: unknown) => {
        assert.ok(error instanceof StarlingError);
        assert.equal(error.code, code);
        for (const [name, value] of Object.entries(facts)) assert.equal(error.facts[name], value);
        return true;
      },
    );

  it('accepts q to n votes, each verified as a vote of the certificate', () => {
    for (let n = 1; n <= 10; n++) {
      const seen: Vote[] = [];
      verifyQuorum(good(n), voters(n), (vote) => seen.push(vote) > 0);
      assert.equal(seen.length, quorumOf(n));
      for (const vote of seen) assert.deepEqual([vote.epoch, vote.round, vote.step, vote.block], [5, 2, 'precommit', node(9)]);
    }
    const all = { ...good(), votes: voters(4).map((voter) => ({ voter, signature: Buffer.from(voter, 'hex') })) };
    verifyQuorum(all, voters(4), isSigned);
  });

  it('names what is wrong with its form, before any signature is checked', () => {
    const { votes } = good();
    refuses({ ...good(), votes: votes.slice(1) }, 'BAD_QUORUM', { field: 'votes' });
    refuses({ ...good(), votes: [] }, 'BAD_QUORUM', { field: 'votes' });
    refuses({ ...good(), votes: [votes[0], votes[0], votes[1]] as typeof votes }, 'BAD_QUORUM', { field: 'votes' });
    refuses({ ...good(), votes: [...votes].reverse() }, 'BAD_QUORUM', { field: 'votes' });
    refuses({ ...good(), votes: [...votes, ...votes] }, 'BAD_QUORUM', { field: 'votes' });
    for (const epoch of [0, -1, 1.5, Number.NaN]) refuses({ ...good(), epoch }, 'BAD_QUORUM', { field: 'epoch' });
    for (const round of [-1, 0.5, Number.POSITIVE_INFINITY]) refuses({ ...good(), round }, 'BAD_QUORUM', { field: 'round' });
    const stranger = { ...good(), votes: [...votes.slice(0, 2), { voter: 'ff'.repeat(32), signature: new Uint8Array(32).fill(255) }] };
    refuses(stranger, 'NOT_VOTER', { peer: 'ff'.repeat(32) });
    assert.throws(
      () => verifyQuorum({ ...stranger, votes: votes.slice(1) }, voters(4), () => assert.fail('checked a signature')),
      StarlingError,
    );
  });

  it('names the voter whose signature is bad', () => {
    const { votes } = good(7);
    votes.forEach(({ voter }, i) => {
      const spoilt = votes.map((vote, j) => (i === j ? { voter, signature: new Uint8Array(32) } : vote));
      refuses({ ...good(7), votes: spoilt }, 'BAD_SIGNATURE', { peer: voter }, 7);
    });
  });

  it('two sets that it accepts share an honest voter, whoever f of them are', () => {
    for (let n = 1; n <= 10; n++) {
      const quorums: number[] = [];
      for (let set = 0; set < 2 ** n; set++) {
        const members = voters(n).filter((_, i) => (set >> i) & 1);
        try {
          verifyQuorum(
            { ...good(n), votes: members.map((voter) => ({ voter, signature: Buffer.from(voter, 'hex') })) },
            voters(n),
            isSigned,
          );
          quorums.push(set);
        } catch (error) {
          assert.ok(error instanceof StarlingError && error.code === 'BAD_QUORUM');
        }
      }
      const ones = (x: number): number => x.toString(2).replaceAll('0', '').length;
      let least = n;
      for (const a of quorums) for (const b of quorums) least = Math.min(least, ones(a & b));
      assert.ok(least > faultsOf(n), `n=${n}: two quorums share only ${least}`);
      // And the honest alone are one.
      assert.ok(n - faultsOf(n) >= quorumOf(n));
    }
  });

  it('accepts exactly the ascending lists of q or more voters', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 8 }), fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: 9 }), (n, picks) => {
        const members = picks.map((i) => [...voters(n), 'ee'.repeat(32), 'ff'.repeat(32)][i % (n + 2)] as string);
        const isAscending = members.every((voter, i) => i === 0 || (members[i - 1] as string) < voter);
        const expected = isAscending && members.every((voter) => voters(n).includes(voter)) && members.length >= quorumOf(n);
        let accepted = true;
        try {
          verifyQuorum(
            { ...good(n), votes: members.map((voter) => ({ voter, signature: Buffer.from(voter, 'hex') })) },
            voters(n),
            isSigned,
          );
        } catch {
          accepted = false;
        }
        assert.equal(accepted, expected);
      }),
    );
  });
});
