import { COMPOSITE_SIGNATURE_BYTES, ED25519_SIGNATURE_BYTES } from '../crypto/index.ts';
import {
  type AnyEntryCore,
  type BallotBody,
  type ContributionBody,
  type DecisionBody,
  ENTRY_MAX_BYTES,
  type EntryKind,
  type JoinBody,
  LINK_EXPONENT_MAX,
  LINK_EXPONENT_MIN,
  MAX_DEPS,
  MAX_LINKS,
  MAX_PARAMETERS,
  type MembershipBody,
  type SignedEntry,
  type VerdictBody,
} from '../spec/index.ts';
import { readDropped } from './attempt.ts';
import { decode, encode } from './cbor.ts';
import { certificateToWire, readCertificate } from './certificate.ts';
import {
  hashBytes,
  hashList,
  malformed,
  readBool,
  readBytes,
  readCode,
  readHash,
  readHashSet,
  readInt,
  readList,
  readMap,
  readNullable,
  readNumber,
  readOneOf,
  readRoster,
  readText,
  readTuple,
} from './fields.ts';
import { inviteToWire, readInvite } from './invite.ts';
import { decisionFields, entryId } from './signBytes/index.ts';

/** On the wire a kind is its place in this list. Append only. */
const KIND_CODES = ['join', 'contribution', 'decision', 'membership', 'verdict', 'ballot'] as const satisfies readonly EntryKind[];
/** Bytes. An entry with both signatures around its core. */
export const SIGNED_ENTRY_MAX_BYTES = ENTRY_MAX_BYTES + 4096;
/** What fits a core of ENTRY_MAX_BYTES anyway; said here so that no list is read without a bound. */
const MAX_TENSORS = 10_000;
const MAX_METRICS = 16;
/** On the wire an action is its place in its list. Append only. */
const MEMBERSHIP_ACTIONS = ['away', 'leave', 'resume'] as const satisfies readonly MembershipBody['action'][];
export const BALLOT_ACTIONS = ['admit', 'remove', 'restore'] as const satisfies readonly BallotBody['action'][];
/** Characters: a verdict's reason is for people. */
const MAX_REASON = 200;
const METRIC_NAME = /^[A-Za-z][\w.-]{0,31}$/;

/** Canonical CBOR array of the core (PROTOCOL section 3). Identifiers are hex in memory and 32 bytes here. */
export function encodeCore(core: AnyEntryCore): Uint8Array {
  return encode([
    core.v,
    hashBytes(core.swarm),
    hashBytes(core.author),
    core.seq,
    core.prev === null ? null : hashBytes(core.prev),
    core.lam,
    core.epochSeen,
    hashBytes(core.anchorBlock),
    KIND_CODES.indexOf(core.kind),
    hashList(core.deps),
    bodyToWire(core),
  ]);
}

/** Checks every type, range, length and order; not the chain rules, which need the parents. Throws TOO_LARGE, MALFORMED, NON_CANONICAL. */
export function decodeCore(bytes: Uint8Array): AnyEntryCore {
  const tuple = readTuple(decode(bytes, 'entry', ENTRY_MAX_BYTES), 'entry', 11);
  const [v, swarm, author, seq, prev, lam, epochSeen, anchorBlock, kind, deps, body] = tuple;
  const common = {
    v: readOneOf(v, 'entry.v', [1]),
    swarm: readHash(swarm, 'entry.swarm'),
    author: readHash(author, 'entry.author'),
    seq: readInt(seq, 'entry.seq'),
    prev: readNullable(prev, 'entry.prev', readHash),
    lam: readInt(lam, 'entry.lam', 1),
    epochSeen: readInt(epochSeen, 'entry.epochSeen'),
    anchorBlock: readHash(anchorBlock, 'entry.anchorBlock'),
    deps: readHashSet(deps, 'entry.deps', MAX_DEPS),
  };
  if ((common.prev === null) !== (common.seq === 0)) throw malformed('entry.prev', 'must be null exactly in the entry with seq 0');
  switch (KIND_CODES[readInt(kind, 'entry.kind', 0, KIND_CODES.length - 1)]) {
    case 'join':
      return { ...common, kind: 'join', body: readJoin(body) };
    case 'contribution':
      return { ...common, kind: 'contribution', body: readContribution(body) };
    case 'decision':
      return { ...common, kind: 'decision', body: readDecision(body) };
    case 'membership':
      return { ...common, kind: 'membership', body: readMembership(body) };
    case 'verdict':
      return { ...common, kind: 'verdict', body: readVerdict(body) };
    default:
      return { ...common, kind: 'ballot', body: readBallot(body) };
  }
}

/** [core bytes, Ed25519 signature, composite signature or null]. */
export const encodeEntry = (entry: SignedEntry): Uint8Array => encode([entry.coreBytes, entry.signature, entry.composite ?? null]);

/** Computes the id; checks no signature. Throws TOO_LARGE, MALFORMED, NON_CANONICAL. */
export function decodeEntry(bytes: Uint8Array): SignedEntry {
  const [core, signature, composite] = readTuple(decode(bytes, 'signedEntry', SIGNED_ENTRY_MAX_BYTES), 'signedEntry', 3);
  const coreBytes = readBytes(core, 'signedEntry.core', 1, ENTRY_MAX_BYTES);
  const entry = {
    id: entryId(coreBytes),
    core: decodeCore(coreBytes),
    coreBytes,
    signature: readBytes(signature, 'signedEntry.signature', ED25519_SIGNATURE_BYTES),
  };
  return composite === null ? entry : { ...entry, composite: readBytes(composite, 'signedEntry.composite', COMPOSITE_SIGNATURE_BYTES) };
}

function bodyToWire(core: AnyEntryCore): readonly unknown[] {
  switch (core.kind) {
    case 'join':
      return [certificateToWire(core.body.certificate), core.body.invite === null ? null : inviteToWire(core.body.invite)];
    case 'contribution': {
      const { epoch, updateHash, sizeBytes, samples, maxAbs, metrics, commitment, staleness, links } = core.body;
      return [
        epoch,
        hashBytes(updateHash),
        sizeBytes,
        samples,
        maxAbs,
        metrics,
        commitment === null ? null : hashBytes(commitment),
        staleness,
        links,
      ];
    }
    case 'decision':
      return decisionFields(core.body);
    case 'membership':
      return [MEMBERSHIP_ACTIONS.indexOf(core.body.action)];
    case 'verdict': {
      const { epoch, base, aggregateHash, good, reason } = core.body;
      return [epoch, hashBytes(base), hashBytes(aggregateHash), good, reason];
    }
    case 'ballot': {
      const { action, subject, epoch } = core.body;
      return [BALLOT_ACTIONS.indexOf(action), subject === null ? null : hashBytes(subject), epoch];
    }
  }
}

function readJoin(value: unknown): JoinBody {
  const [certificate, invite] = readTuple(value, 'join', 2);
  return { certificate: readCertificate(certificate, 'join.certificate'), invite: readNullable(invite, 'join.invite', readInvite) };
}

function readContribution(value: unknown): ContributionBody {
  const [epoch, updateHash, sizeBytes, samples, maxAbs, metrics, commitment, staleness, links] = readTuple(value, 'contribution', 9);
  const body = {
    epoch: readInt(epoch, 'contribution.epoch'),
    updateHash: readHash(updateHash, 'contribution.updateHash'),
    sizeBytes: readInt(sizeBytes, 'contribution.sizeBytes', 1, 2 * MAX_PARAMETERS),
    samples: readInt(samples, 'contribution.samples', 1),
    maxAbs: readList(maxAbs, 'contribution.maxAbs', MAX_TENSORS, (item, field) => readInt(item, field)),
    metrics: readMetrics(metrics, 'contribution.metrics'),
    commitment: readNullable(commitment, 'contribution.commitment', readHash),
    staleness: readInt(staleness, 'contribution.staleness'),
    links: readList(links, 'contribution.links', MAX_LINKS, readLink),
  };
  if (body.links.at(-1) === 0) throw malformed('contribution.links', 'end with one that is not known');
  if (body.links.length > 0 && body.commitment === null)
    throw malformed('contribution.links', 'are told of although nothing is summed over them');
  return body;
}

function readLink(value: unknown, field: string): number {
  const exponent = readInt(value, field, 0, LINK_EXPONENT_MAX);
  if (exponent > 0 && exponent < LINK_EXPONENT_MIN) throw malformed(field, `must be 0 or at least ${LINK_EXPONENT_MIN}`);
  return exponent;
}

/**
 * A trainer's figures as an entry may carry them: at most 16, names of letters, digits, `_`, `.` and `-` that begin with a
 * letter, finite values. MUST hold before an own entry is written: others refuse the entry otherwise. Throws MALFORMED.
 */
export function readMetrics(value: unknown, field: string): Readonly<Record<string, number>> {
  const pairs = Object.entries(readMap(value, field));
  if (pairs.length > MAX_METRICS) throw malformed(field, `has more than ${MAX_METRICS} figures`);
  for (const [name, figure] of pairs) {
    if (!METRIC_NAME.test(name)) throw malformed(field, 'has a figure without a plain name of at most 32 characters');
    readNumber(figure, `${field}.${name}`);
  }
  return Object.fromEntries(pairs) as Record<string, number>;
}

function readDecision(value: unknown): DecisionBody {
  const [epoch, prev, rosterValue, weights, aggregateHash, dropped] = readTuple(value, 'decision', 6);
  const { roster, ...rest } = readRoster(rosterValue, weights, 'decision');
  return {
    epoch: readInt(epoch, 'decision.epoch', 1),
    prev: readHash(prev, 'decision.prev'),
    roster,
    ...rest,
    aggregateHash: readHash(aggregateHash, 'decision.aggregateHash'),
    dropped: readDropped(dropped, roster, 'decision.dropped'),
  };
}

function readMembership(value: unknown): MembershipBody {
  const [action] = readTuple(value, 'membership', 1);
  return { action: readCode(action, 'membership.action', MEMBERSHIP_ACTIONS) };
}

function readVerdict(value: unknown): VerdictBody {
  const [epoch, base, aggregateHash, good, reason] = readTuple(value, 'verdict', 5);
  const body = {
    epoch: readInt(epoch, 'verdict.epoch', 1),
    base: readHash(base, 'verdict.base'),
    aggregateHash: readHash(aggregateHash, 'verdict.aggregateHash'),
    good: readBool(good, 'verdict.good'),
    reason: readText(reason, 'verdict.reason', 0, MAX_REASON),
  };
  if (body.good && body.reason !== '') throw malformed('verdict.reason', 'is given for a good aggregate');
  return body;
}

function readBallot(value: unknown): BallotBody {
  const [action, subject, epoch] = readTuple(value, 'ballot', 3);
  const body = {
    action: readCode(action, 'ballot.action', BALLOT_ACTIONS),
    subject: readNullable(subject, 'ballot.subject', readHash),
    epoch: readInt(epoch, 'ballot.epoch'),
  };
  if ((body.subject === null) !== (body.action === 'restore')) throw malformed('ballot.subject', 'must be null exactly for restore');
  return body;
}
