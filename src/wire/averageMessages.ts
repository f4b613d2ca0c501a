/** What is asked on the stream protocol `average` while a sum is made over streams (PROTOCOL section 6). */
import { ED25519_SIGNATURE_BYTES } from '../crypto/index.ts';
import {
  type Attempt,
  type AttemptVote,
  type BlockHash,
  CHUNK_BYTES,
  type DecisionId,
  type Hex,
  KIB,
  MAX_ROSTER,
  MAX_VOTERS,
  TRANSFER_PHASES,
} from '../spec/index.ts';
import { attemptVoteFields, readAttempt, readAttemptVote } from './attempt.ts';
import { type ChunkMessage, readChunk } from './averageChunk.ts';
import { decode, encode } from './cbor.ts';
import {
  hashBytes,
  readBool,
  readBytes,
  readCode,
  readHash,
  readHashSet,
  readInt,
  readList,
  readNullable,
  readText,
  readTuple,
} from './fields.ts';
import type { Signed } from './rosterMessages.ts';
import { type AccusedEdge, attemptFields, type FindingBody, findingFields } from './signBytes/index.ts';

export type Finding = Signed<FindingBody>;

/** Signed words of one epoch: attempts with the votes for them, and what members found. */
export interface Words {
  readonly attempts: readonly Attempt[];
  readonly votes: readonly AttemptVote[];
  readonly findings: readonly Finding[];
}

/** What a member may be asked for. Append only. */
export const OPENINGS = ['commitment', 'sum', 'part', 'row', 'rho', 'sent', 'wrong', 'stated', 'made', 'ruled'] as const;
/**
 * commitment: of a rostered contribution, by its place in the roster. sum: of a lane, bytes of int32 from an offset. The others serve to
 * find who made a sum wrong: part, the commitment to a range of blocks of the own row; row, a chunk of the own row with its proof; rho, the
 * digits of the own; sent, hash and signature of a chunk that was received; wrong, a whole one that no honest member sends.
 * Under a rule over rows: row, of any member's row by its rank, where it is held; stated, what the own segments come to at a step; made, a
 * chunk of what was made of a segment; ruled, what was made beside the sum.
 */
export type OpeningKind = (typeof OPENINGS)[number];

export type AverageMessage =
  /** `isFirst`: its sender remembers nothing of what it was told. */
  | {
      readonly kind: 'words';
      readonly epoch: number;
      readonly base: BlockHash | DecisionId;
      readonly isFirst: boolean;
      readonly words: Words;
    }
  | ChunkMessage
  /** Nothing comes from its sender now, because of another edge. */
  | { readonly kind: 'waiting'; readonly attempt: Hex; readonly lane: number }
  /** Somebody is late: whom do you reach? */
  | { readonly kind: 'alarm'; readonly attempt: Hex }
  /** Sent back as it came. */
  | { readonly kind: 'probe'; readonly bytes: Uint8Array }
  | { readonly kind: 'open'; readonly attempt: Hex; readonly what: OpeningKind; readonly at: readonly number[] };

/** On the wire a kind is its place in this list. Append only. */
const KINDS = ['words', 'chunk', 'waiting', 'alarm', 'probe', 'open'] as const satisfies readonly AverageMessage['kind'][];

/** Bytes of any message: a chunk, or words of hundreds of voters. */
const AVERAGE_MAX_BYTES = 512 * KIB;
/** Bytes of words that are filled into one message; the rest is room for what it takes at most beyond the last one. */
export const WORDS_BUDGET_BYTES = 256 * KIB;
/** Words of a kind in one message. */
const MAX_WORDS = 1_024;
/** Attempt bodies in one message, of up to 64 KiB each. */
export const MAX_BODIES = 4;
/** Links that one member accuses: those of a leaf, a line of each dimension, or a butterfly of the largest roster. */
const MAX_ACCUSED = MAX_ROSTER;
const MAX_LANES = 2;
/** Steps of the longest ring, and chunks of the largest model in one transfer: bounds that no plan reaches. */
const MAX_STEP = 4 * MAX_ROSTER;
const MAX_CHUNK = 2 ** 24;
const MAX_REASON = 40;

/** Canonical CBOR. */
export function encodeAverage(message: AverageMessage): Uint8Array {
  const kind = KINDS.indexOf(message.kind);
  switch (message.kind) {
    case 'words': {
      const { attempts, votes, findings } = message.words;
      return encode([
        kind,
        message.epoch,
        hashBytes(message.base),
        message.isFirst,
        attempts.map(attemptFields),
        votes.map(attemptVoteFields),
        findings.map((finding) => [...findingFields(finding), finding.signature]),
      ]);
    }
    case 'chunk':
      return encode([kind, hashBytes(message.attempt), message.lane, message.step, message.chunk, message.bytes, message.signature]);
    case 'waiting':
      return encode([kind, hashBytes(message.attempt), message.lane]);
    case 'alarm':
      return encode([kind, hashBytes(message.attempt)]);
    case 'probe':
      return encode([kind, message.bytes]);
    case 'open':
      return encode([kind, hashBytes(message.attempt), OPENINGS.indexOf(message.what), message.at]);
  }
}

/** Checks form, not signatures. Throws TOO_LARGE, MALFORMED, NON_CANONICAL. A chunk shares memory with `bytes`. */
export function decodeAverage(bytes: Uint8Array): AverageMessage {
  const found = readChunk(bytes);
  if (found !== undefined && isWithin(found)) return found;
  const value = decode(bytes, 'average', AVERAGE_MAX_BYTES, MAX_ITEMS);
  const kind = readCode(Array.isArray(value) ? value[0] : value, 'average.kind', KINDS);
  const fields = (count: number): readonly unknown[] => readTuple(value, 'average', count);
  switch (kind) {
    case 'words': {
      const [, epoch, base, isFirst, attempts, votes, findings] = fields(7);
      return {
        kind,
        epoch: readInt(epoch, 'average.epoch', 1),
        base: readHash(base, 'average.base'),
        isFirst: readBool(isFirst, 'average.isFirst'),
        words: {
          attempts: readList(attempts, 'average.attempts', MAX_BODIES, readAttempt),
          votes: readList(votes, 'average.votes', MAX_VOTERS * MAX_BODIES, readAttemptVote),
          findings: readList(findings, 'average.findings', MAX_WORDS, readFinding),
        },
      };
    }
    case 'chunk': {
      const [, attempt, lane, step, chunk, data, signature] = fields(7);
      return {
        kind,
        attempt: readHash(attempt, 'average.attempt'),
        lane: readInt(lane, 'average.lane', 0, MAX_LANES - 1),
        step: readInt(step, 'average.step', 0, MAX_STEP),
        chunk: readInt(chunk, 'average.chunk', 0, MAX_CHUNK),
        bytes: readBytes(data, 'average.bytes', 0, CHUNK_BYTES),
        signature: readBytes(signature, 'average.signature', ED25519_SIGNATURE_BYTES),
      };
    }
    case 'waiting': {
      const [, attempt, lane] = fields(3);
      return { kind, attempt: readHash(attempt, 'average.attempt'), lane: readInt(lane, 'average.lane', 0, MAX_LANES - 1) };
    }
    case 'alarm':
      return { kind, attempt: readHash(fields(2)[1], 'average.attempt') };
    case 'probe':
      return { kind, bytes: readBytes(fields(2)[1], 'average.bytes', 0, CHUNK_BYTES) };
    case 'open': {
      const [, attempt, what, at] = fields(4);
      return {
        kind,
        attempt: readHash(attempt, 'average.attempt'),
        what: readCode(what, 'average.what', OPENINGS),
        at: readList(at, 'average.at', 4, (item, field) => readInt(item, field, 0, 2 ** 40)),
      };
    }
  }
}

const isWithin = ({ lane, step, chunk, bytes }: ChunkMessage): boolean =>
  lane < MAX_LANES && step <= MAX_STEP && chunk <= MAX_CHUNK && bytes.byteLength <= CHUNK_BYTES;

/** Items of the largest message of words: what is longer is a lie that would cost memory to read. */
const MAX_ITEMS = 64 * KIB;

function readFinding(value: unknown, field: string): Finding {
  const [epoch, attempt, node, seq, failure, culprits, done, signature] = readTuple(value, field, 8);
  return {
    epoch: readInt(epoch, `${field}.epoch`, 1),
    attempt: readHash(attempt, `${field}.attempt`),
    node: readHash(node, `${field}.node`),
    seq: readInt(seq, `${field}.seq`),
    failure: readNullable(failure, `${field}.failure`, (item, name) => {
      const [accused, unreachable] = readTuple(item, name, 2);
      return {
        accused: readList(accused, `${name}.accused`, MAX_ACCUSED, readEdge),
        unreachable: readHashSet(unreachable, `${name}.unreachable`, MAX_ROSTER),
      };
    }),
    culprits: readHashSet(culprits, `${field}.culprits`, MAX_ROSTER),
    done: readNullable(done, `${field}.done`, readHash),
    signature: readBytes(signature, `${field}.signature`, ED25519_SIGNATURE_BYTES),
  };
}

function readEdge(value: unknown, field: string): AccusedEdge {
  const [phase, from, to, chunk, reason] = readTuple(value, field, 5);
  return {
    phase: readCode(phase, `${field}.phase`, TRANSFER_PHASES),
    from: readHash(from, `${field}.from`),
    to: readHash(to, `${field}.to`),
    chunk: readInt(chunk, `${field}.chunk`, 0, MAX_CHUNK),
    reason: readText(reason, `${field}.reason`, 1, MAX_REASON),
  };
}

/** How a request was taken. Append only. `later`: what it is about is not known here yet. `over`: it is past. */
const ANSWERS = ['taken', 'later', 'over', 'refused'] as const;
export type AverageAnswer = { readonly kind: (typeof ANSWERS)[number]; readonly bytes: Uint8Array };

/** One byte, then what was asked for. */
export const encodeAnswer = (kind: AverageAnswer['kind'], bytes: Uint8Array = new Uint8Array(0)): Uint8Array =>
  new Uint8Array(Buffer.concat([Uint8Array.of(ANSWERS.indexOf(kind)), bytes]));

/** Throws MALFORMED. */
export const decodeAnswer = (answer: Uint8Array): AverageAnswer => ({
  kind: readCode(answer[0], 'answer.kind', ANSWERS),
  bytes: answer.subarray(1),
});
