/**
 * A chunk that its sender signed and that no honest member sends, whatever it was sent itself: of another size than its place takes, or with
 * a value beyond what its summands can add up to. Who received it shows it, and everyone holds it against the plan.
 */
import { chunkRange, chunksOf, unpackInts } from '../../aggregation/schedule/index.ts';
import { ED25519_SIGNATURE_BYTES, sha256, toHex, verifyEd25519 } from '../../crypto/index.ts';
import { CHUNK_BYTES, type Fingerprint, type Hex, KIB, MAX_ROSTER } from '../../spec/index.ts';
import { chunkBytes, decode, encode, readBytes, readInt, readTuple } from '../../wire/index.ts';
import type { Layout } from './plans.ts';
import type { ExchangeWorld } from './world.ts';

export interface WrongChunk {
  readonly lane: number;
  readonly step: number;
  /** Rank of its sender. */
  readonly from: number;
  readonly chunk: number;
  readonly bytes: Uint8Array;
  /** Of its sender, over the above, the attempt, both ends and the bytes' hash. */
  readonly signature: Uint8Array;
}

/** Bytes of one as it is shown: its chunk, and what frames it. */
const SHOWN_MAX_BYTES = CHUNK_BYTES + KIB;

/** Canonical CBOR. */
export const encodeWrong = ({ lane, step, from, chunk, bytes, signature }: WrongChunk): Uint8Array =>
  encode([lane, step, from, chunk, bytes, signature]);

/** The member that a chunk shown by `to` speaks against. Undefined where it proves nothing, or cannot be read. */
export function culpritOf(
  world: Pick<ExchangeWorld, 'keyOf'>,
  attempt: Hex,
  { order, lanes }: Layout,
  to: Fingerprint,
  shown: Uint8Array,
): Fingerprint | undefined {
  const wrong = readWrong(shown);
  const plan = wrong === undefined ? undefined : lanes[wrong.lane]?.planOf(order.indexOf(to));
  const transfer = plan?.receives.find(({ step, from }) => step === wrong?.step && from === wrong.from);
  if (wrong === undefined || transfer === undefined || wrong.chunk >= chunksOf(transfer)) return undefined;
  const { lane, step, chunk, bytes, signature } = wrong;
  const from = order[wrong.from] as Fingerprint;
  const key = world.keyOf(from);
  const signed = chunkBytes({ attempt, lane, step, from, to, chunk, hash: toHex(sha256(bytes)) });
  if (key === undefined || !verifyEd25519(signed, signature, key)) return undefined;
  const { start, end } = chunkRange(transfer, chunk);
  try {
    unpackInts(bytes, end - start, transfer.encoding.width, transfer.encoding.bound);
    return undefined;
  } catch {
    return from;
  }
}

function readWrong(shown: Uint8Array): WrongChunk | undefined {
  try {
    const [lane, step, from, chunk, bytes, signature] = readTuple(decode(shown, 'wrong', SHOWN_MAX_BYTES), 'wrong', 6);
    return {
      lane: readInt(lane, 'wrong.lane'),
      step: readInt(step, 'wrong.step'),
      from: readInt(from, 'wrong.from', 0, MAX_ROSTER),
      chunk: readInt(chunk, 'wrong.chunk'),
      bytes: readBytes(bytes, 'wrong.bytes', 0, CHUNK_BYTES),
      signature: readBytes(signature, 'wrong.signature', ED25519_SIGNATURE_BYTES),
    };
  } catch {
    return undefined;
  }
}
