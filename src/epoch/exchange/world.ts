/** What an exchange touches outside itself, and the small things that its parts share. */

import type { TensorSpan } from '../../aggregation/index.ts';
import type { LinkCost } from '../../aggregation/schedule/index.ts';
import type { Compute, IntRow } from '../../compute/api.ts';
import type { Identity } from '../../crypto/index.ts';
import {
  asStarlingError,
  type EntryId,
  type Fingerprint,
  type Genesis,
  type Hex,
  type PeerId,
  type SwarmId,
  type SwarmState,
} from '../../spec/index.ts';
import type { Clock, Journal, NodeStore, Streams } from '../ports.ts';

/** The own contribution, as it was committed to. */
export interface OwnRow {
  /** q, one integer a parameter. */
  readonly values: IntRow;
  /** sis.expandRho of the secret; empty under a rule, which commits to none. */
  readonly rho: Int32Array;
  /** Of the update hash. */
  readonly salt: Uint8Array;
}

/** A contribution as the ledger has it. */
export interface Contribution {
  readonly author: Fingerprint;
  readonly updateHash: Hex;
  /** Hash of its Ring-SIS commitment; null: it has none. */
  readonly commitment: Hex | null;
}

export interface ExchangeWorld {
  readonly clock: Clock;
  readonly compute: Compute;
  readonly streams: Pick<Streams, 'request' | 'peers' | 'handle'>;
  readonly journal: Journal;
  readonly store: Pick<NodeStore, 'get' | 'set'>;
  readonly identity: Identity;
  readonly swarm: SwarmId;
  readonly genesis: Genesis;
  /** Integers of a row, and the tensors that they are. */
  readonly elements: number;
  readonly spans: readonly TensorSpan[];
  /** Seed of the commitments' A. */
  readonly seed: Uint8Array;
  /** Ed25519 public key of a node whose join is known. */
  keyOf(node: Fingerprint): Uint8Array | undefined;
  nodeOf(peer: PeerId): Fingerprint | undefined;
  peerOf(node: Fingerprint): PeerId | undefined;
  /** Null: an entry of another kind, which nothing is summed for. Undefined: not known here. */
  contribution(id: EntryId): Contribution | null | undefined;
  /** Of the whole roster, one an id. */
  weights(base: SwarmState, roster: readonly EntryId[]): readonly number[];
  /** Of the links between its authors, as they have told; undefined: none is known to be nearer than another. */
  cost(base: SwarmState, roster: readonly EntryId[]): LinkCost | undefined;
  /** What a commitment's hash is bound to: swarm, epoch and author. */
  commitmentContext(epoch: number, author: Fingerprint): Uint8Array;
  /** Undefined where it is not this node's, or not kept. */
  own(id: EntryId): Promise<OwnRow | undefined>;
}

export { pause, turn } from '../turns.ts';

/** Integers handled between two turns: some milliseconds of any loop here. */
export const PIECE = 65_536;

/** Says what went wrong in work that nobody waits for. */
export async function guard({ journal }: Pick<ExchangeWorld, 'journal'>, work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (error) {
    journal.log('error', 'epoch', 'an average is in trouble', asStarlingError(error).toJSON());
  }
}
