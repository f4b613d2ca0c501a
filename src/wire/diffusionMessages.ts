/** What two nodes without a quorum say to each other on the stream protocol `diffusion`: one edge of one step, piece by piece. */
import { type BlockHash, CHUNK_BYTES, type DecisionId, KIB } from '../spec/index.ts';
import { decode, encode } from './cbor.ts';
import { hashBytes, malformed, readBytes, readHash, readInt, readNullable, readTuple } from './fields.ts';

/** Bytes of an offer and of an answer: one piece of a row, and room. */
export const DIFFUSION_MAX_BYTES = CHUNK_BYTES + KIB;
/** Steps, and exchanges of one edge: one every millisecond for centuries. */
const MAX_STEPS = 2 ** 48;
/** Pieces of a row: a model of 2^28 elements has 4,096. */
const MAX_PIECES = 4_096;
/** Neighbours in one step; who says more lies. */
const MAX_DEGREE = 64;

/** One end's row before the step, as both compute from it: int32 little-endian, a piece of it. */
export interface DiffusionEnd {
  readonly degree: number;
  readonly values: Uint8Array;
}

export interface DiffusionOffer extends DiffusionEnd {
  /** What both ends' learning is owed to: the newest final block. */
  readonly base: BlockHash | DecisionId;
  readonly piece: number;
  /** Counts what was offered over this edge and piece, from 1: each is decided once, by who answers. */
  readonly seq: number;
  readonly round: number;
}

export interface DiffusionAnswer {
  /** The newest that was decided here. */
  readonly seq: number;
  /** The round that the answering node is in. */
  readonly round: number;
  /** Its row before the step: this edge counts. Null: it does not, and never will. */
  readonly end: DiffusionEnd | null;
}

export const encodeDiffusionOffer = ({ base, piece, seq, round, degree, values }: DiffusionOffer): Uint8Array =>
  encode([hashBytes(base), piece, seq, round, degree, values]);

/** Throws TOO_LARGE, MALFORMED, NON_CANONICAL. */
export function decodeDiffusionOffer(bytes: Uint8Array): DiffusionOffer {
  const tuple = readTuple(decode(bytes, 'offer', DIFFUSION_MAX_BYTES), 'offer', 6);
  return {
    base: readHash(tuple[0], 'offer.base'),
    piece: readInt(tuple[1], 'offer.piece', 0, MAX_PIECES - 1),
    seq: readInt(tuple[2], 'offer.seq', 1, MAX_STEPS),
    round: readInt(tuple[3], 'offer.round', 1, MAX_STEPS),
    ...readEnd(tuple[4], tuple[5], 'offer'),
  };
}

export const encodeDiffusionAnswer = ({ seq, round, end }: DiffusionAnswer): Uint8Array =>
  encode([seq, round, end === null ? null : [end.degree, end.values]]);

/** Throws TOO_LARGE, MALFORMED, NON_CANONICAL. */
export function decodeDiffusionAnswer(bytes: Uint8Array): DiffusionAnswer {
  const [seq, round, end] = readTuple(decode(bytes, 'answer', DIFFUSION_MAX_BYTES), 'answer', 3);
  return {
    seq: readInt(seq, 'answer.seq', 0, MAX_STEPS),
    round: readInt(round, 'answer.round', 0, MAX_STEPS),
    end: readNullable(end, 'answer.end', (value, field) => {
      const [degree, values] = readTuple(value, field, 2);
      return readEnd(degree, values, field);
    }),
  };
}

function readEnd(degree: unknown, values: unknown, field: string): DiffusionEnd {
  const row = readBytes(values, `${field}.values`, 0, CHUNK_BYTES);
  if (row.byteLength % Int32Array.BYTES_PER_ELEMENT !== 0) throw malformed(`${field}.values`, 'is not whole integers');
  return { degree: readInt(degree, `${field}.degree`, 1, MAX_DEGREE), values: row };
}
