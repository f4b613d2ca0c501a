/** Errors that a person or a program can act on: a stable code, the facts, and what to do about it. */

export const ERROR_CODES = [
  // input
  'BAD_USAGE',
  'BAD_CONFIG',
  'BAD_SAFETENSORS',
  'BAD_SHAPE',
  'BAD_DATASET',
  'NON_FINITE',
  'EPOCH_PAST',
  'EPOCH_FAR',
  'ALREADY_CONTRIBUTED',
  'EMPTY_UPDATE',
  // wire and crypto
  'NON_CANONICAL',
  'MALFORMED',
  'TOO_LARGE',
  'BAD_SIGNATURE',
  'BAD_CERTIFICATE',
  'DECRYPT_FAILED',
  'HASH_MISMATCH',
  'CRYPTO_SELF_TEST',
  // ledger
  'WRONG_SWARM',
  'BAD_SEQUENCE',
  'BAD_LAMPORT',
  'BAD_DEPS',
  'MISSING_PARENT',
  'FORKED_AUTHOR',
  'UNKNOWN_AUTHOR',
  'UNKNOWN_ENTRY',
  'BAD_PROOF',
  'BAD_INVITE',
  // votes and blocks
  'NOT_VOTER',
  'BAD_QUORUM',
  'BAD_PROPOSAL',
  'BAD_BLOCK',
  'BAD_EVIDENCE',
  'BAD_ARCHIVE',
  'EQUIVOCATION',
  'NO_QUORUM',
  'DIVERGED',
  // epoch
  'EPOCH_REGRESSION',
  'DUPLICATE',
  'INCOMPATIBLE',
  'NOT_MEMBER',
  'CLASS_FORBIDS',
  'BOUNDS_EXCEEDED',
  'AGGREGATE_MISSING',
  'NO_TRAINER',
  'PINNED',
  // storage
  'DATA_IN_USE',
  'DATA_CORRUPT',
  'DISK_FULL',
  'NOT_FOUND',
  // network
  'UNREACHABLE',
  'PEER_TIMEOUT',
  'PEER_REFUSED',
  'PORT_IN_USE',
  'PROTOCOL_VIOLATION',
  'IDENTITY_IN_USE',
  // compute
  'BACKEND_UNAVAILABLE',
  'KERNEL_MISMATCH',
  // api
  'UNAUTHORIZED',
  'FORBIDDEN',
  'UNKNOWN_METHOD',
  'BAD_PARAMS',
  'DAEMON_DOWN',
  'NOT_READY',
  'TIMEOUT',
  'INTERNAL',
] as const;
export type ErrorCode = (typeof ERROR_CODES)[number];

/** The facts of a failure. `fix` tells the reader what to do; the others say where it happened. */
export interface ErrorFacts {
  readonly field?: string;
  readonly peer?: string;
  readonly phase?: string;
  readonly fix?: string;
  readonly [fact: string]: string | number | boolean | undefined;
}

export class StarlingError extends Error {
  readonly code: ErrorCode;
  readonly facts: ErrorFacts;
  constructor(code: ErrorCode, message: string, facts: ErrorFacts = {}, options?: ErrorOptions) {
    super(message, options);
    this.name = 'StarlingError';
    this.code = code;
    this.facts = facts;
  }
  toJSON(): { code: ErrorCode; message: string } & ErrorFacts {
    return { ...this.facts, code: this.code, message: this.message };
  }
}

/** Anything thrown, as a StarlingError that knows at least `facts`: foreign errors become INTERNAL and keep their cause. */
export function asStarlingError(e: unknown, facts: ErrorFacts = {}): StarlingError {
  if (e instanceof StarlingError) {
    const isNew = Object.keys(facts).some((key) => e.facts[key] === undefined);
    return isNew ? new StarlingError(e.code, e.message, { ...facts, ...e.facts }, { cause: e }) : e;
  }
  const message = e instanceof Error ? e.message : String(e);
  return new StarlingError('INTERNAL', message, facts, { cause: e });
}

/** What a gossip validator or an acceptance rule answers. Reject is the sender's fault; ignore is nobody's. */
export type Verdict =
  | { readonly kind: 'accept' }
  | { readonly kind: 'ignore'; readonly code: ErrorCode; readonly reason: string }
  | { readonly kind: 'reject'; readonly code: ErrorCode; readonly reason: string };

export const ACCEPT: Verdict = { kind: 'accept' };
export const ignore = (code: ErrorCode, reason: string): Verdict => ({ kind: 'ignore', code, reason });
export const reject = (code: ErrorCode, reason: string): Verdict => ({ kind: 'reject', code, reason });
