import { type PublicKeys, verifyComposite, verifyEd25519 } from '../crypto/index.ts';
import {
  type AnyEntryCore,
  type EntryId,
  type ErrorCode,
  type Fingerprint,
  MAX_DEPS,
  type NodeCertificate,
  type SignedEntry,
  StarlingError,
  type SwarmId,
} from '../spec/index.ts';
import { checkCertificate, entryBytes, UPDATE_CONTEXT } from '../wire/index.ts';
import { type Placed, parentsOf } from './graph.ts';

/** What the rules know: the swarm, and the entries accepted before. */
export interface RuleContext {
  readonly swarm: SwarmId;
  place(id: EntryId): Placed | undefined;
  /** The certificate that the author's chain started with. */
  certificateOf(author: Fingerprint): NodeCertificate | undefined;
}

/** `missing` is nobody's fault: these parents have to be fetched before the entry can be judged. */
export type EntryVerdict =
  | { readonly kind: 'accept' }
  | { readonly kind: 'missing'; readonly ids: readonly EntryId[] }
  | { readonly kind: 'reject'; readonly code: ErrorCode; readonly reason: string };

const ACCEPT: EntryVerdict = { kind: 'accept' };
const reject = (code: ErrorCode, reason: string): EntryVerdict => ({ kind: 'reject', code, reason });

/**
 * Whether an entry (of the form that `decodeEntry` guarantees: id, types, bounds, sorted lists) may join the ledger.
 * The same for every node and at every time; a second entry at one sequence number is accepted, since both sides of
 * a fork are kept. Cheap checks come first, and nothing is parked as `missing` under a signature that is known wrong.
 */
export function checkEntry(entry: SignedEntry, context: RuleContext): EntryVerdict {
  const { core } = entry;
  // [REJECT] it belongs to another swarm
  if (core.swarm !== context.swarm) return reject('WRONG_SWARM', `entry of swarm ${core.swarm}, this one is ${context.swarm}`);
  // [REJECT] the first entry of a chain, and only that one, has no predecessor
  if ((core.seq === 0) !== (core.prev === null)) return reject('BAD_SEQUENCE', `sequence number ${core.seq} with prev ${core.prev}`);
  // [REJECT] the first entry of a chain, and only that one, is a join
  if ((core.seq === 0) !== (core.kind === 'join')) return reject('BAD_SEQUENCE', `a ${core.kind} cannot have sequence number ${core.seq}`);
  // [REJECT] deps are at most MAX_DEPS ids in strictly ascending order
  if (core.deps.length > MAX_DEPS || core.deps.some((id, i) => i > 0 && (core.deps[i - 1] as EntryId) >= id)) {
    return reject('BAD_DEPS', `deps must be at most ${MAX_DEPS} ids, ascending`);
  }

  const invited = checkInvite(core);
  if (invited.kind !== 'accept') return invited;

  const keys = core.kind === 'join' ? core.body.certificate : context.certificateOf(core.author);
  if (keys !== undefined) {
    const verdict = checkSignature(entry, keys);
    if (verdict.kind !== 'accept') return verdict;
  }
  const missing = parentsOf(entry).filter((id) => context.place(id) === undefined);
  if (missing.length > 0) return { kind: 'missing', ids: missing };
  // [REJECT] the chain is there but does not start with a join of this author
  if (keys === undefined) return reject('UNKNOWN_AUTHOR', `no certificate of ${core.author} on the ledger`);

  const verdict = checkParents(entry, context);
  return verdict.kind === 'accept' ? checkKeys(entry, keys) : verdict;
}

/** 1 + the highest lam among prev and deps, 1 when there are none (PROTOCOL section 3). */
export const lamportAfter = (parents: readonly Placed[]): number =>
  parents.reduce((highest, parent) => Math.max(highest, parent.core.lam), 0) + 1;

/**
 * What the form of an invite says. Its signature waits for the state, which knows the issuer: whose join has arrived differs
 * from node to node, and an entry that some nodes take and others refuse could stand in a block that only some can check.
 */
function checkInvite(core: AnyEntryCore): EntryVerdict {
  if (core.kind !== 'join' || core.body.invite === null) return ACCEPT;
  const { invite, certificate } = core.body;
  // [REJECT] an invite to another swarm
  if (invite.swarm !== core.swarm) return reject('BAD_INVITE', `an invite to swarm ${invite.swarm}, this one is ${core.swarm}`);
  // [REJECT] an invite for another class
  if (invite.nodeClass !== certificate.nodeClass)
    return reject('BAD_INVITE', `an invite for class ${invite.nodeClass}, the author is of class ${certificate.nodeClass}`);
  // [REJECT] an invite of the author to itself: nobody votes before it joined
  if (invite.issuer === core.author) return reject('BAD_INVITE', 'the author invited itself');
  return ACCEPT;
}

function checkSignature({ coreBytes, signature }: SignedEntry, keys: PublicKeys): EntryVerdict {
  // [REJECT] not signed by its author
  return verifyEd25519(entryBytes(coreBytes), signature, keys.ed25519PublicKey)
    ? ACCEPT
    : reject('BAD_SIGNATURE', 'the Ed25519 signature is not valid');
}

/** All parents are held. */
function checkParents(entry: SignedEntry, context: RuleContext): EntryVerdict {
  const { author, seq, prev, lam, deps } = entry.core;
  const parents = parentsOf(entry).map((id) => context.place(id) as Placed);
  const before = prev === null ? undefined : context.place(prev)?.core;
  // [REJECT] prev is the same author's entry with the number before
  if (before !== undefined && (before.author !== author || before.seq !== seq - 1)) {
    return reject('BAD_SEQUENCE', `prev is number ${before.seq} of ${before.author}`);
  }
  // [REJECT] deps are other authors' entries
  if (deps.some((id) => context.place(id)?.core.author === author)) return reject('BAD_DEPS', "a dep is the author's own entry");
  // [REJECT] lam is exact: nobody can place an entry earlier or later than what it stands on
  const expected = lamportAfter(parents);
  if (lam !== expected) return reject('BAD_LAMPORT', `lam is ${lam}, its parents make it ${expected}`);
  return ACCEPT;
}

/** The checks that cost a post-quantum signature, last. */
function checkKeys(entry: SignedEntry, keys: PublicKeys): EntryVerdict {
  const { core, coreBytes, composite } = entry;
  if (core.kind === 'join') {
    // [REJECT] the certificate speaks for another node, or not both of its keys signed it
    const verdict = certificateVerdict(core.body.certificate, core.author);
    if (verdict.kind !== 'accept') return verdict;
  }
  if (core.kind === 'contribution') {
    // [REJECT] a contribution carries the composite signature
    if (composite === undefined) return reject('BAD_SIGNATURE', 'a contribution needs its composite signature');
    if (!verifyComposite(UPDATE_CONTEXT, entryBytes(coreBytes), composite, keys)) {
      return reject('BAD_SIGNATURE', 'the composite signature is not valid');
    }
  } else if (composite !== undefined) {
    // [REJECT] a signature that nothing asks for would be kept unchecked
    return reject('MALFORMED', `a ${core.kind} carries no composite signature`);
  }
  return ACCEPT;
}

function certificateVerdict(certificate: NodeCertificate, author: Fingerprint): EntryVerdict {
  try {
    const node = checkCertificate(certificate);
    return node === author ? ACCEPT : reject('BAD_CERTIFICATE', `the certificate speaks for ${node}, not for the author`);
  } catch (e) {
    if (e instanceof StarlingError) return reject(e.code, e.message);
    throw e;
  }
}
