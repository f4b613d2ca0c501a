/** What nodes say of a roster before anybody votes on it. */
import type { DecisionId, EntryId, Fingerprint, Hex } from '../../spec/index.ts';
import { encode } from '../cbor.ts';
import { hashBytes, hashList } from '../fields.ts';
import { DOMAINS, withDomain } from './domains.ts';

/** What a node holds at its freeze time (PROTOCOL section 5). */
export interface AttestBody {
  readonly epoch: number;
  /** The decision that this epoch builds on. */
  readonly base: DecisionId;
  readonly node: Fingerprint;
  /** Ascending. */
  readonly ids: readonly EntryId[];
}

/** What a node prefers, and how strongly (PROTOCOL section 5). */
export interface StanceBody {
  readonly epoch: number;
  readonly base: DecisionId;
  readonly node: Fingerprint;
  /** Grows by one a stance; one seq with two digests is evidence. */
  readonly seq: number;
  /** Digest of `optionIds`. */
  readonly option: Hex;
  /** Ascending. */
  readonly optionIds: readonly EntryId[];
  /** Digest and probability as an integer 0..65535, at most 8. */
  readonly prefs: readonly (readonly [digest: Hex, probability: number])[];
}

/** What a node holds so far, and whether it will contribute (PROTOCOL section 5). */
export interface HaveBody {
  readonly epoch: number;
  readonly base: DecisionId;
  readonly node: Fingerprint;
  readonly seq: number;
  /** Ascending. */
  readonly ids: readonly EntryId[];
  /** Trainers attached to the node now. */
  readonly trainers: number;
}

export const attestFields = (a: AttestBody): readonly unknown[] => [a.epoch, hashBytes(a.base), hashBytes(a.node), hashList(a.ids)];
export const stanceFields = (s: StanceBody): readonly unknown[] => [
  s.epoch,
  hashBytes(s.base),
  hashBytes(s.node),
  s.seq,
  hashBytes(s.option),
  hashList(s.optionIds),
  s.prefs.map(([digest, probability]) => [hashBytes(digest), probability]),
];
export const haveFields = (h: HaveBody): readonly unknown[] => [
  h.epoch,
  hashBytes(h.base),
  hashBytes(h.node),
  h.seq,
  hashList(h.ids),
  h.trainers,
];

export const attestBytes = (body: AttestBody): Uint8Array => withDomain(DOMAINS.attest, encode(attestFields(body)));
export const stanceBytes = (body: StanceBody): Uint8Array => withDomain(DOMAINS.stance, encode(stanceFields(body)));
export const haveBytes = (body: HaveBody): Uint8Array => withDomain(DOMAINS.have, encode(haveFields(body)));
