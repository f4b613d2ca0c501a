import { type EntryId, type Fingerprint, MAX_ROSTER } from '../spec/index.ts';
import { checkIds, type Option, optionOf } from './options.ts';

/** What a node held at its freeze time: every id is a contribution or membership entry it could average. */
export interface Attestation {
  readonly node: Fingerprint;
  readonly ids: readonly EntryId[];
}

/**
 * Versions. An honest node has one; a liar's latest few are passed on so that everybody's union grows alike,
 * and no more of them, so that it cannot fill memory.
 */
const KEPT_VERSIONS = 8;

interface Attested {
  /** Union over every version ever received: a version can add, never take back. */
  readonly ids: Set<EntryId>;
  /** The versions that added something, oldest first, as they were handed in. */
  readonly versions: Attestation[];
}

/** The attestations of all seats. Order of arrival does not matter: what counts is the union for each node. */
export class Attestations {
  readonly #byNode = new Map<Fingerprint, Attested>();
  /** The last tally, until an attestation adds to it. */
  #counted: { readonly voters: ReadonlySet<Fingerprint>; readonly tally: Tally } | null = null;

  /**
   * `held` tells which ids this node holds itself: those are taken however long a liar's list has become.
   * Throws TOO_LARGE or MALFORMED. 'conflict': a second version that adds to the first.
   */
  add(attestation: Attestation, held: ReadonlySet<EntryId>): 'new' | 'known' | 'conflict' {
    const { node, ids } = attestation;
    checkIds(ids, 'attestation', node);
    const before = this.#byNode.get(node);
    const attested = before ?? { ids: new Set(), versions: [] };
    const size = attested.ids.size;
    for (const id of ids) if (attested.ids.size < MAX_ROSTER || held.has(id)) attested.ids.add(id);
    if (before !== undefined && attested.ids.size === size) return 'known';
    this.#counted = null;
    attested.versions.push(attestation);
    if (attested.versions.length > KEPT_VERSIONS) attested.versions.shift();
    this.#byNode.set(node, attested);
    return before === undefined ? 'new' : 'conflict';
  }

  /** The nodes that have attested. */
  nodes(): ReadonlySet<Fingerprint> {
    return new Set(this.#byNode.keys());
  }

  count(): number {
    return this.#byNode.size;
  }

  /** What to relay: the very objects that were handed in. */
  versions(): readonly Attestation[] {
    return [...this.#byNode.values()].flatMap((attested) => attested.versions);
  }

  /** What the attestations of `voters` amount to. */
  tally(voters: ReadonlySet<Fingerprint>): Tally {
    if (this.#counted?.voters === voters) return this.#counted.tally;
    const lists: ReadonlySet<EntryId>[] = [];
    for (const [node, { ids }] of this.#byNode) if (voters.has(node)) lists.push(ids);
    const tally = new Tally(lists, voters.size);
    this.#counted = { voters, tally };
    return tally;
  }
}

/** w[x], the number of seats that attest x, and what follows from it (PROTOCOL section 5). */
export class Tally {
  /** {x : w[x] > W/3}: at least one honest seat held each of these. */
  readonly derived: Option;
  readonly #weight = new Map<EntryId, number>();
  readonly #seats: number;
  /** Number of entries with w[x] > 2W/3, which no valid option may leave out. */
  readonly #required: number;

  constructor(lists: readonly ReadonlySet<EntryId>[], seats: number) {
    this.#seats = seats;
    for (const ids of lists) for (const id of ids) this.#weight.set(id, (this.#weight.get(id) ?? 0) + 1);
    const known = [...this.#weight.keys()];
    this.derived = optionOf(known.filter((id) => this.#supported(id)));
    this.#required = known.filter((id) => this.#solid(id)).length;
  }

  /**
   * o == derived, or every x in o has w[x] > W/3 and every x not in o has w[x] <= 2W/3. Between the two thresholds
   * nodes may differ for as long as a liar's attestation has reached some of them only.
   */
  valid(option: Option): boolean {
    if (option.digest === this.derived.digest) return true;
    return option.ids.every((id) => this.#supported(id)) && option.ids.filter((id) => this.#solid(id)).length === this.#required;
  }

  #supported(id: EntryId): boolean {
    return 3 * (this.#weight.get(id) ?? 0) > this.#seats;
  }

  #solid(id: EntryId): boolean {
    return 3 * (this.#weight.get(id) ?? 0) > 2 * this.#seats;
  }
}
