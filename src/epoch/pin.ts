/** Where a local rollback holds this node: one fact on disk, so that a restart stands there too. */
import { decode, encode, readInt, readTuple } from '../wire/index.ts';
import type { NodeStore } from './ports.ts';

const PIN = 'rollback/pin';
/** Bytes: a list of one number. */
const RECORD_MAX_BYTES = 16;

/** The epoch at which this node is held; undefined while it goes on with the others. */
export function loadPin(store: NodeStore): number | undefined {
  const bytes = store.get(PIN);
  return bytes === undefined ? undefined : readInt(readTuple(decode(bytes, PIN, RECORD_MAX_BYTES), PIN, 1)[0], PIN);
}

/** Durable when it returns. */
export function savePin(store: NodeStore, epoch: number | undefined): void {
  if (epoch === undefined) store.delete(PIN);
  else store.set(PIN, encode([epoch]));
}
