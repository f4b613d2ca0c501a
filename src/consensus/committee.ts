import { fromHex, hashWithDomain, toHex, utf8 } from '../crypto/index.ts';
import { type BlockHash, type Fingerprint, type QuorumCertificate, StarlingError, type Vote } from '../spec/index.ts';
import { quorumOf } from './quorum.ts';
import { votesOf } from './voteSet.ts';

/**
 * The epoch's hash permutation of the voters (PROTOCOL section 7): sorted by sha256(domain || prev || epoch || fingerprint),
 * epoch in decimal digits. The proposer of round r is the (r mod n)-th.
 */
export function proposerOrder(prev: BlockHash, epoch: number, voters: readonly Fingerprint[]): Fingerprint[] {
  const [base, number] = [fromHex(prev), utf8(`${epoch}`)];
  const ranked = voters.map((voter) => ({ voter, rank: toHex(hashWithDomain('starling/proposer/1', base, number, fromHex(voter))) }));
  return ranked.sort((a, b) => (a.rank < b.rank ? -1 : 1)).map(({ voter }) => voter);
}

/**
 * Checks that a certificate holds the votes of at least q of these voters, each once, in ascending order, and that `verify`
 * finds each vote signed. Throws BAD_QUORUM (naming the field), NOT_VOTER or BAD_SIGNATURE (naming the voter).
 * Its epoch is the caller's to compare: that is what the voters belong to.
 */
export function verifyQuorum(certificate: QuorumCertificate, voters: readonly Fingerprint[], verify: (vote: Vote) => boolean): void {
  const bad = (field: string, message: string): StarlingError =>
    new StarlingError('BAD_QUORUM', message, { field, phase: 'finalise', epoch: certificate.epoch, round: certificate.round });
  const [allowed, quorum] = [new Set(voters), quorumOf(voters.length)];
  if (!Number.isSafeInteger(certificate.epoch) || certificate.epoch < 1) throw bad('epoch', `a certificate of epoch ${certificate.epoch}`);
  if (!Number.isSafeInteger(certificate.round) || certificate.round < 0) throw bad('round', `a certificate of round ${certificate.round}`);
  if (certificate.votes.length < quorum || certificate.votes.length > voters.length)
    throw bad('votes', `a certificate has ${certificate.votes.length} votes; the quorum of ${voters.length} voters is ${quorum}`);
  let previous = '';
  for (const { voter } of certificate.votes) {
    if (!allowed.has(voter))
      throw new StarlingError('NOT_VOTER', `${voter} has no vote in epoch ${certificate.epoch}`, { peer: voter, phase: 'finalise' });
    if (voter <= previous) throw bad('votes', `the votes of a certificate are not in ascending order of voter at ${voter}`);
    previous = voter;
  }
  // Forms first: a certificate that breaks one costs no signature check.
  for (const vote of votesOf(certificate))
    if (!verify(vote))
      throw new StarlingError('BAD_SIGNATURE', `the vote of ${vote.voter} in a certificate is not signed by it`, {
        peer: vote.voter,
        phase: 'finalise',
      });
}
