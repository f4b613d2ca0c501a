import { ED25519_SIGNATURE_BYTES, type Identity, sis, verifyEd25519 } from '../crypto/index.ts';
import {
  type Attempt,
  type AttemptVote,
  DROP_REASONS,
  type Dropped,
  type EntryId,
  KIB,
  MAX_ATTEMPTS,
  MAX_BROKEN_LINKS,
  MAX_DROP_NAMES,
  MAX_ROSTER,
  type Opening,
  TRANSFER_PHASES,
} from '../spec/index.ts';
import { decode, encode } from './cbor.ts';
import { hashBytes, malformed, readBytes, readCode, readHash, readHashSet, readInt, readList, readNullable, readTuple } from './fields.ts';
import { attemptBytes, attemptFields, attemptId } from './signBytes/index.ts';

/** Bytes: a roster takes 26 KiB at most, drops and failed links 30. */
const ATTEMPT_MAX_BYTES = 64 * KIB;
/** Bytes of rho's part of a sum: int32. */
const RHO_SUM_BYTES = 4 * sis.RHO_ROW_LENGTH;
/** Bytes: the attempt, rho's sum, and a commitment of each that a roster may hold. */
export const OPENING_MAX_BYTES = ATTEMPT_MAX_BYTES + RHO_SUM_BYTES + MAX_ROSTER * sis.COMMITMENT_BYTES + KIB;

/** As `attemptFields` makes them. Everything in the attempt has one form. Throws MALFORMED. */
export function readAttempt(value: unknown, field: string): Attempt {
  const [swarm, epoch, base, number, rosterValue, dropped, broken] = readTuple(value, field, 7);
  const roster = readHashSet(rosterValue, `${field}.roster`, MAX_ROSTER);
  return {
    swarm: readHash(swarm, `${field}.swarm`),
    epoch: readInt(epoch, `${field}.epoch`, 1),
    base: readHash(base, `${field}.base`),
    number: readInt(number, `${field}.number`, 0, MAX_ATTEMPTS),
    roster,
    dropped: readDropped(dropped, roster, `${field}.dropped`),
    broken: readBroken(broken, `${field}.broken`),
  };
}

/** Drops from `roster`, in its order. Throws MALFORMED. */
export function readDropped(value: unknown, roster: readonly EntryId[], field: string): Dropped[] {
  let last = -1;
  const dropped = readList(value, field, MAX_ROSTER, (item, name): Dropped => {
    const [place, why, by, at] = readTuple(item, name, 4);
    last = readInt(place, `${name}.id`, last + 1, roster.length - 1);
    return {
      id: roster[last] as EntryId,
      why: readCode(why, `${name}.why`, DROP_REASONS),
      by: readHashSet(by, `${name}.by`, MAX_DROP_NAMES),
      at: readNullable(at, `${name}.at`, readPlace),
    };
  });
  if (dropped.reduce((sum, one) => sum + namesIn(one), 0) > MAX_DROP_NAMES) throw malformed(field, `names more than ${MAX_DROP_NAMES}`);
  return dropped;
}

function readPlace(value: unknown, field: string): NonNullable<Dropped['at']> {
  const [phase, from, to] = readTuple(value, field, 3);
  return {
    phase: readCode(phase, `${field}.phase`, TRANSFER_PHASES),
    from: readHash(from, `${field}.from`),
    to: readHash(to, `${field}.to`),
  };
}

const namesIn = ({ by, at }: Dropped): number => by.length + (at === null ? 0 : 2);

function readBroken(value: unknown, field: string): Attempt['broken'] {
  const pairs = readList(value, field, MAX_BROKEN_LINKS, (item, name) => {
    const [a, b] = readTuple(item, name, 2);
    const pair = [readHash(a, name), readHash(b, name)] as const;
    if (pair[0] >= pair[1]) throw malformed(name, 'does not have its ends in order');
    return pair;
  });
  pairs.forEach((pair, i) => {
    const before = pairs[i - 1];
    if (before !== undefined && before.join() >= pair.join()) throw malformed(`${field}[${i}]`, 'is out of order or twice there');
  });
  return pairs;
}

/** Signs an attempt; `identity` is a voter's. */
export const signAttempt = (attempt: Attempt, identity: Identity): AttemptVote => ({
  attempt: attemptId(attempt),
  voter: identity.fingerprint,
  signature: identity.signEd25519(attemptBytes(attempt)),
});

/** True if the holder of this key signed this attempt. That the key is the voter's is the caller's to look up. */
export const verifyAttempt = (attempt: Attempt, vote: AttemptVote, ed25519PublicKey: Uint8Array): boolean =>
  vote.attempt === attemptId(attempt) && verifyEd25519(attemptBytes(attempt), vote.signature, ed25519PublicKey);

/** [attempt's id, voter, signature]. */
export const attemptVoteFields = ({ attempt, voter, signature }: AttemptVote): readonly unknown[] => [
  hashBytes(attempt),
  hashBytes(voter),
  signature,
];

export function readAttemptVote(value: unknown, field: string): AttemptVote {
  const [attempt, voter, signature] = readTuple(value, field, 3);
  return {
    attempt: readHash(attempt, `${field}.attempt`),
    voter: readHash(voter, `${field}.voter`),
    signature: readBytes(signature, `${field}.signature`, ED25519_SIGNATURE_BYTES),
  };
}

/** [attempt, rho's sum as int32 LE, commitments one after the other]: equal openings have equal bytes. */
export const encodeOpening = ({ attempt, rhoSum, commitments }: Opening): Uint8Array =>
  encode([attemptFields(attempt), new Uint8Array(rhoSum.slice().buffer), new Uint8Array(Buffer.concat(commitments))]);

/** Checks form; what it opens is for whoever holds sum and ledger. Throws TOO_LARGE, MALFORMED, NON_CANONICAL. */
export function decodeOpening(bytes: Uint8Array): Opening {
  const [attempt, rho, joined] = readTuple(decode(bytes, 'opening', OPENING_MAX_BYTES), 'opening', 3);
  const commitments = readBytes(joined, 'opening.commitments', 0, MAX_ROSTER * sis.COMMITMENT_BYTES);
  const rhoBytes = readBytes(rho, 'opening.rhoSum', 0, RHO_SUM_BYTES);
  if (rhoBytes.byteLength % RHO_SUM_BYTES !== 0) throw malformed('opening.rhoSum', 'is neither whole nor left out');
  const count = commitments.byteLength / sis.COMMITMENT_BYTES;
  if (!Number.isInteger(count)) throw malformed('opening.commitments', 'is not a whole number of commitments');
  return {
    attempt: readAttempt(attempt, 'opening.attempt'),
    rhoSum: new Int32Array(rhoBytes.slice().buffer),
    commitments: Array.from({ length: count }, (_, i) => commitments.slice(i * sis.COMMITMENT_BYTES, (i + 1) * sis.COMMITMENT_BYTES)),
  };
}
