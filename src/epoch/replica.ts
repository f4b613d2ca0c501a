/** This node's copy of the ledger: what is accepted is durable first, then indexed, then told to the listeners. */
import type { ArchivedCut } from '../consensus/index.ts';
import type { Identity } from '../crypto/index.ts';
import { checkEntry, type EntryVerdict, isWhole, LedgerGraph, type Placed, parentsOf } from '../ledger/index.ts';
import {
  type AnyEntryCore,
  type DecisionId,
  type EntryCore,
  type EntryId,
  type EntryKind,
  type ErrorCode,
  type SignedEntry,
  StarlingError,
  type SwarmId,
} from '../spec/index.ts';
import { decodeCore, encodeCore, entryBytes, entryId, UPDATE_CONTEXT } from '../wire/index.ts';
import type { Durability, EntryStore } from './ports.ts';

/** Entries that wait for a parent. A peer that sends more loses the oldest of them: sync brings them back. */
const MAX_ORPHANS = 4_096;

export interface Offer {
  readonly accepted: readonly SignedEntry[];
  /** Parents to ask a peer for. */
  readonly missing: readonly EntryId[];
  readonly rejected: readonly { readonly entry: SignedEntry; readonly code: ErrorCode; readonly reason: string }[];
}

export interface ReplicaInit {
  readonly swarm: SwarmId;
  readonly identity: Identity;
  readonly store: EntryStore;
  /** What stands behind the base, in the order of the ledger; nothing by default. */
  readonly archived?: readonly ArchivedPlace[];
}

export type ArchivedPlace = ArchivedCut['places'][number];

/** Adds what stands behind the base, in the order of the ledger. */
export function placeIn(graph: LedgerGraph, places: readonly ArchivedPlace[]): void {
  for (const { entry, prev } of places) {
    if (prev !== null) graph.addPlace(entry, prev);
    else if (isWhole(entry)) graph.add(entry);
  }
}

export class Replica {
  readonly graph = new LedgerGraph();
  readonly #init: ReplicaInit;
  readonly #orphans = new Map<EntryId, SignedEntry>();
  /** Accepted, but the disk took them not. */
  #unsaved: SignedEntry[] = [];
  readonly #listeners: ((entry: SignedEntry) => void)[] = [];
  /** Set by the first own append: from then on an own entry out of the network means a second process. */
  #appended = false;
  #isVoid: (id: EntryId) => boolean = () => false;
  /** Entries on the disk that stand on an archive that is lost. As many as there are: own ones among them may be nowhere else. */
  readonly #stranded = new Map<EntryId, SignedEntry>();

  constructor(init: ReplicaInit) {
    this.#init = init;
    placeIn(this.graph, init.archived ?? []);
    const archived: EntryId[] = [];
    for (const entry of init.store.all()) {
      if (this.graph.has(entry.id)) archived.push(entry.id);
      else if (this.graph.missingParents(entry).length === 0) this.graph.add(entry);
      else this.#stranded.set(entry.id, entry);
    }
    // A crash came between the archive and this.
    init.store.drop(archived);
    // What one stood on may have come after it, from a peer.
    for (let left = -1; left !== this.#stranded.size; ) {
      left = this.#stranded.size;
      for (const [id, entry] of this.#stranded)
        if (this.graph.missingParents(entry).length === 0) {
          this.graph.add(entry);
          this.#stranded.delete(id);
        }
    }
  }

  /** Holds on to the places alone of what is archived now. Nothing is written. */
  archive(places: readonly ArchivedPlace[]): void {
    placeIn(this.graph, places);
    const ids = places.map(({ entry }) => entry.id);
    this.graph.forget(ids);
    for (const id of ids) this.#forget(id);
  }

  /** Lets what was archived go from the disk; entries that waited for it have their turn. */
  dropArchived(places: readonly ArchivedPlace[]): void {
    this.#init.store.drop(places.map(({ entry }) => entry.id));
    this.offer(this.#waiting());
  }

  onAccepted(listener: (entry: SignedEntry) => void): void {
    this.#listeners.push(listener);
  }

  /** This node's last entry. Of a forked own chain a branch that is not void, and of several the one that arrived last. */
  get tip(): SignedEntry | Placed | undefined {
    const heads = this.graph.heads(this.#init.identity.fingerprint);
    const counting = heads.length < 2 ? heads : heads.filter((head) => !this.graph.chain(head).some((id) => this.#isVoid(id)));
    const id = (counting.length > 0 ? counting : heads).at(-1);
    return id === undefined ? undefined : this.graph.place(id);
  }

  /** Whether this node's chain is on the disk, and where it began is not: a first entry would be a second one. */
  get isCutOff(): boolean {
    const self = this.#init.identity.fingerprint;
    return this.tip === undefined && [...this.#stranded.values()].some(({ core }) => core.author === self);
  }

  /** `isVoid`: whether a final cut holds an entry as one of a losing branch. */
  judgeForks(isVoid: (id: EntryId) => boolean): void {
    this.#isVoid = isVoid;
  }

  /**
   * Checks entries from the network in any order and takes those that hold. Durable with this node's next own entry or block:
   * their authors hold them, and nothing of this node's stands on them before.
   * Throws IDENTITY_IN_USE when an own-signed entry appears that this process did not write.
   */
  offer(entries: readonly SignedEntry[]): Offer {
    const rejected: { entry: SignedEntry; code: ErrorCode; reason: string }[] = [];
    const accepted: SignedEntry[] = [];
    const missing = new Set<EntryId>();
    let open = [...entries];
    while (open.length > 0) {
      const round: SignedEntry[] = [];
      const waiting = new Set<EntryId>();
      for (const entry of open) {
        if (this.graph.has(entry.id)) continue;
        const verdict = this.#judge(entry);
        if (verdict.kind === 'missing') {
          for (const id of verdict.ids) waiting.add(id);
          this.#park(entry);
        } else if (verdict.kind === 'reject') {
          this.#forget(entry.id);
          rejected.push({ entry, code: verdict.code, reason: verdict.reason });
        } else {
          this.#refuseOwn(entry);
          this.graph.add(entry);
          this.#forget(entry.id);
          round.push(entry);
        }
      }
      for (const id of waiting) if (!this.#orphans.has(id) && !this.#stranded.has(id)) missing.add(id);
      if (round.length === 0) break;
      accepted.push(...round);
      open = this.#waitingFor(round);
    }
    for (const entry of accepted) missing.delete(entry.id);
    this.#keep(accepted);
    return { accepted, missing: [...missing], rejected };
  }

  /** Signs the next entry of this node's chain. It is on disk when this returns, and nothing was sent before. */
  append<K extends EntryKind>(
    kind: K,
    body: EntryCore<K>['body'],
    anchor: DecisionId,
    epochSeen: number,
    deps: readonly EntryId[] = this.graph.freshDeps(this.#init.identity.fingerprint),
  ): SignedEntry {
    const { identity, swarm } = this.#init;
    const tip = this.tip;
    const parents = [...(tip === undefined ? [] : [tip]), ...deps.map((id) => this.graph.place(id) as Placed)];
    const written: EntryCore<K> = {
      v: 1,
      swarm,
      author: identity.fingerprint,
      seq: tip === undefined ? 0 : tip.core.seq + 1,
      prev: tip?.id ?? null,
      lam: 1 + Math.max(0, ...parents.map((p) => p.core.lam)),
      epochSeen,
      anchorBlock: anchor,
      kind,
      deps,
      body,
    };
    // One kind is one of all: nothing but that is taken on trust.
    const core = written as AnyEntryCore;
    const coreBytes = encodeCore(core);
    const message = entryBytes(coreBytes);
    const entry: SignedEntry = {
      id: entryId(coreBytes),
      core,
      coreBytes,
      signature: identity.signEd25519(message),
      ...(kind === 'contribution' ? { composite: identity.signComposite(UPDATE_CONTEXT, message) } : {}),
    };
    this.#requireSound(entry);
    this.#appended = true;
    const kept = this.#save([entry], 'now');
    this.graph.add(entry);
    this.#tell(kept);
    return entry;
  }

  #judge(entry: SignedEntry): EntryVerdict {
    const { graph } = this;
    return checkEntry(entry, {
      swarm: this.#init.swarm,
      place: (id) => graph.place(id),
      certificateOf: (author) => graph.certificateOf(author),
    });
  }

  /** What no peer could read or accept must not be written: the chain would end there for good. */
  #requireSound(entry: SignedEntry): void {
    decodeCore(entry.coreBytes);
    const verdict = this.#judge(entry);
    if (verdict.kind === 'accept') return;
    const why = verdict.kind === 'missing' ? `it stands on ${verdict.ids.join(' ')}, which is not held` : verdict.reason;
    throw new StarlingError('INTERNAL', `an own ${entry.core.kind} breaks a rule: ${why}`, {
      phase: 'ledger',
      fix: 'report this; nothing was written',
    });
  }

  /** Written first: a listener may answer a peer, and nothing may be acknowledged that a crash of the process could take back. */
  #keep(entries: readonly SignedEntry[]): void {
    if (entries.length === 0) return;
    this.#unsaved.push(...entries);
    this.#tell(this.#save([], 'soon'));
  }

  /** What a full disk refused before goes first: an entry must not be on disk without its parents. */
  #save(entries: readonly SignedEntry[], when: Durability): SignedEntry[] {
    const all = [...this.#unsaved, ...entries];
    this.#init.store.append(all, when);
    this.#unsaved = [];
    return all;
  }

  #tell(entries: readonly SignedEntry[]): void {
    for (const entry of entries) for (const listener of this.#listeners) listener(entry);
  }

  /** Parked entries that name one of these: the others need not be looked at again. */
  #waitingFor(accepted: readonly SignedEntry[]): SignedEntry[] {
    const ids = new Set(accepted.map((entry) => entry.id));
    return this.#waiting().filter((orphan) => parentsOf(orphan).some((id) => ids.has(id)));
  }

  #waiting(): SignedEntry[] {
    return [...this.#stranded.values(), ...this.#orphans.values()];
  }

  #forget(id: EntryId): void {
    this.#orphans.delete(id);
    this.#stranded.delete(id);
  }

  #park(entry: SignedEntry): void {
    if (this.#stranded.has(entry.id)) return;
    if (this.#orphans.size >= MAX_ORPHANS && !this.#orphans.has(entry.id)) {
      const [oldest] = this.#orphans.keys();
      if (oldest !== undefined) this.#orphans.delete(oldest);
    }
    this.#orphans.set(entry.id, entry);
  }

  #refuseOwn(entry: SignedEntry): void {
    if (!this.#appended || entry.core.author !== this.#init.identity.fingerprint) return;
    throw new StarlingError(
      'IDENTITY_IN_USE',
      `another process signs with this node's identity (entry ${entry.id}, sequence ${entry.core.seq})`,
      {
        phase: 'ledger',
        field: 'identity',
        fix: 'stop the other daemon; if this data folder is a copy, give it an identity of its own with a fresh `starling init`',
      },
    );
  }
}
