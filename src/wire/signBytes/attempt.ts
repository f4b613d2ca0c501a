/** Attempts at a sum, and who was dropped from it. */
import { type Attempt, DROP_REASONS, type Hex, TRANSFER_PHASES } from '../../spec/index.ts';
import { encode } from '../cbor.ts';
import { hashBytes, hashList } from '../fields.ts';
import { DOMAINS, hashOf, withDomain } from './domains.ts';

/** [place in the roster, reason, [reporter, ...], null or [phase, from, to]] each, in the order of the roster. */
export const droppedFields = ({ roster, dropped }: Pick<Attempt, 'roster' | 'dropped'>): readonly unknown[] =>
  dropped.map(({ id, why, by, at }) => [
    roster.indexOf(id),
    DROP_REASONS.indexOf(why),
    hashList(by),
    at === null ? null : [TRANSFER_PHASES.indexOf(at.phase), hashBytes(at.from), hashBytes(at.to)],
  ]);

export const attemptFields = (attempt: Attempt): readonly unknown[] => [
  hashBytes(attempt.swarm),
  attempt.epoch,
  hashBytes(attempt.base),
  attempt.number,
  hashList(attempt.roster),
  droppedFields(attempt),
  attempt.broken.map(hashList),
];

/** What a voter signs with Ed25519. */
export const attemptBytes = (attempt: Attempt): Uint8Array => withDomain(DOMAINS.attempt, encode(attemptFields(attempt)));

/** Identity of an attempt: everything that is sent for it is signed over this. */
export const attemptId = (attempt: Attempt): Hex => hashOf(attemptBytes(attempt));
