/** Values of a node's own store that are as large as a model, in pieces: they lie in no row, and in memory, as a whole. */
import type { NodeStore } from './ports.ts';
import { inTurns, type Turn } from './turns.ts';

/** Bytes of a piece: small beside any model that is large, and a thousand of them take no more time than their bytes. */
export const PIECE_BYTES = 2 ** 20;

const pieceKey = (name: string, i: number): string => `${name}/${String(i).padStart(6, '0')}`;

/** Of `sizeBytes`, as [start, end) in bytes. */
export function* pieces(sizeBytes: number): Generator<readonly [start: number, end: number]> {
  for (let start = 0; start < sizeBytes; start += PIECE_BYTES) yield [start, Math.min(start + PIECE_BYTES, sizeBytes)];
}

/**
 * Durable soon: whoever names the value says so with a write of its own after this one. A name is written once; half of a value that
 * nobody names is what a crash leaves.
 */
export async function writeLarge(store: NodeStore, name: string, bytes: Uint8Array, turn: Turn): Promise<void> {
  for await (const [start, end] of inTurns(pieces(bytes.byteLength), turn)) writePiece(store, name, start, bytes.subarray(start, end));
}

/** `start`: a multiple of PIECE_BYTES. */
export const writePiece = (store: NodeStore, name: string, start: number, piece: Uint8Array): void =>
  store.set(pieceKey(name, start / PIECE_BYTES), piece, 'soon');

/** Undefined where it was not written. */
export const readPiece = (store: NodeStore, name: string, start: number): Uint8Array | undefined =>
  store.get(pieceKey(name, start / PIECE_BYTES));

/** All of it, `sizeBytes` long; undefined where a piece is missing or of another length. */
export function readLarge(store: NodeStore, name: string, sizeBytes: number): Uint8Array | undefined {
  const bytes = new Uint8Array(sizeBytes);
  for (const [start, end] of pieces(sizeBytes)) {
    const piece = readPiece(store, name, start);
    if (piece?.byteLength !== end - start) return undefined;
    bytes.set(piece, start);
  }
  return bytes;
}

/** Whether each piece of it is there. */
export function isHeld(store: NodeStore, name: string, sizeBytes: number): boolean {
  return store.keys(`${name}/`).length === [...pieces(sizeBytes)].length;
}

export async function deleteLarge(store: NodeStore, name: string, turn: Turn): Promise<void> {
  for await (const key of inTurns(store.keys(`${name}/`), turn)) store.delete(key, 'soon');
}
