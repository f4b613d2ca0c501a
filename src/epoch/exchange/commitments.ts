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
    const commitment = this.#held.get(id) ?? (await this.#computed(id));
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
          const own = author === identity.fingerprint ? await this.#computed(id) : undefined;
          if (own !== undefined) return void this.#held.set(id, own);
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

  /** Of an own row; undefined for those of others. */
  async #computed(id: EntryId): Promise<sis.Commitment | undefined> {
    const own = this.#computing.has(id) ? undefined : await this.#world.own(id);
    const computing = this.#computing.get(id) ?? (own === undefined ? undefined : commitTo(this.#world.clock, this.#world.seed, own));
    if (computing !== undefined) this.#computing.set(id, computing);
    return computing;
  }
}
