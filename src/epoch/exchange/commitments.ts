/** Commitments of rostered contributions: shown only when the roster is certified, and checked against the ledger. */
import { sis, toHex } from '../../crypto/index.ts';
import type { EntryId, Fingerprint, Hex } from '../../spec/index.ts';
import { open } from './ask.ts';
import { commitTo } from './check.ts';
import { type ExchangeWorld, pause } from './world.ts';

/** Ms between two rounds of asking for what nobody has shown yet. */
const AGAIN_MS = 100;
/** Members that are asked for one commitment within a deadline, where they do not answer. */
const ASKED_IN_TURN = 4;

export interface Wanted {
  /** Id of an attempt that is certified. */
  readonly attempt: Hex;
  /** The whole roster: a commitment is asked for by its place. */
  readonly roster: readonly EntryId[];
  /** What is wanted, by author. */
  readonly rows: ReadonlyMap<Fingerprint, EntryId>;
  /** Of a chunk, which takes sixteen times the bytes. */
  readonly deadlineMs: () => number;
}

export class Commitments {
  readonly #world: ExchangeWorld;
  readonly #epoch: number;
  readonly #held = new Map<EntryId, sis.Commitment>();
  readonly #computing = new Map<EntryId, Promise<sis.Commitment>>();

  constructor(world: ExchangeWorld, epoch: number) {
    this.#world = world;
    this.#epoch = epoch;
  }

  get(id: EntryId): sis.Commitment | undefined {
    return this.#held.get(id);
  }

  /** The own one, computed once, or one that was shown here. */
  async show(id: EntryId): Promise<Uint8Array | undefined> {
    const commitment = this.#held.get(id) ?? (this.#world.own(id) === undefined ? undefined : await this.#compute(id));
    return commitment === undefined ? undefined : sis.encodeCommitment(commitment);
  }

  /** Ends when all are here: an author is asked first, then the others in turn. */
  async collect(wanted: Wanted, signal: AbortSignal): Promise<void> {
    const { identity, clock } = this.#world;
    while (!signal.aborted) {
      const missing = [...wanted.rows].filter(([, id]) => !this.#held.has(id));
      if (missing.length === 0) return;
      await Promise.all(
        missing.map(async ([author, id]) => {
          if (author === identity.fingerprint && this.#world.own(id) !== undefined) return void this.#held.set(id, await this.#compute(id));
          const others = [...wanted.rows.keys()].filter((node) => node !== author && node !== identity.fingerprint);
          for (const node of [author, ...others]) {
            const options = { signal, timeoutMs: wanted.deadlineMs() / ASKED_IN_TURN };
            const bytes = await open(this.#world, node, wanted.attempt, 'commitment', [wanted.roster.indexOf(id)], options);
            if (bytes !== undefined && this.#take(id, author, bytes)) return;
            if (signal.aborted) return;
          }
        }),
      );
      if (missing.some(([, id]) => !this.#held.has(id))) await pause(clock, AGAIN_MS);
    }
  }

  #take(id: EntryId, author: Fingerprint, bytes: Uint8Array): boolean {
    try {
      const commitment = sis.decodeCommitment(bytes);
      const hash = toHex(sis.commitmentHash(this.#world.commitmentContext(this.#epoch, author), commitment));
      if (hash !== this.#world.contribution(id)?.commitment) return false;
      this.#held.set(id, commitment);
      return true;
    } catch {
      return false;
    }
  }

  #compute(id: EntryId): Promise<sis.Commitment> {
    const own = this.#world.own(id);
    if (own === undefined) return Promise.reject(new Error('not an own row'));
    const computing = this.#computing.get(id) ?? commitTo(this.#world.clock, this.#world.seed, own);
    this.#computing.set(id, computing);
    return computing;
  }
}
