/**
 * What a node takes instead of a replay from the genesis (PROTOCOL section 3, "newcomers start at a checkpoint"). Nothing of it is
 * believed: each header names the one before; where the committee changes, and at the end of each segment, q of the committee that
 * the headers lead to have signed; the leaves make the tree of each header; their places are in the state that the last one certifies.
 */
import { fingerprintOf, fromHex, toHex, verifyEd25519 } from '../crypto/index.ts';
import { isKind, isWhole, MerkleTree, type Placed } from '../ledger/index.ts';
import {
  type ArchiveBase,
  type ArchiveSegment,
  type BlockHash,
  type BlockHeader,
  type EntryId,
  type Fingerprint,
  type Handover,
  type Hex,
  type Leaf,
  type QuorumCertificate,
  type SignedEntry,
  StarlingError,
  type SwarmState,
} from '../spec/index.ts';
import { decodeState, votersOf } from '../state/index.ts';
import { blockHash, entryBytes, leavesHash, verifyVote, votersHash } from '../wire/index.ts';
import { verifyQuorum } from './committee.ts';

export interface ArchiveStart {
  readonly swarm: Hex;
  /** What is final here, or the genesis' first state. Its `decision` is the block's hash. */
  readonly state: SwarmState;
  /** The leaves of its tree, as places of entries held here. */
  readonly leaves: readonly Placed[];
}

/** One block behind the base, with the leaves that it appended. */
export interface ArchivedCut {
  readonly header: BlockHeader;
  readonly leaves: readonly Leaf[];
  /** What is held of each leaf, and the entry before it on its author's chain. */
  readonly places: readonly { readonly entry: Placed | SignedEntry; readonly prev: EntryId | null }[];
  readonly leavesHash: Hex;
  readonly handover: Handover | undefined;
  /** Undefined where a peer gave none: of every last header of a segment there is one. */
  readonly certificate: QuorumCertificate | undefined;
}

/**
 * Cuts one after the other as segments that each can be read by itself. `treeSize`: leaves before the first of them. The last cut
 * must have a certificate.
 */
export function segmentsOf(treeSize: number, cuts: readonly ArchivedCut[]): ArchiveSegment[] {
  const segments: ArchiveSegment[] = [];
  let size = treeSize;
  for (let from = 0; from < cuts.length; ) {
    let [to, items] = [from, 0];
    let certificate: QuorumCertificate | undefined;
    while (to < cuts.length && (certificate === undefined || items < SEGMENT_ITEMS)) {
      const cut = cuts[to++] as ArchivedCut;
      items += 1 + cut.leaves.length;
      ({ certificate } = cut);
    }
    if (certificate === undefined) throw bad('certificate', `block ${cuts.at(-1)?.header.epoch} has no certificate`);
    const some = cuts.slice(from, to);
    segments.push({
      headers: some.map(({ header }) => header),
      treeSize: size,
      leaves: some.flatMap(({ leaves }) => leaves),
      joins: some.flatMap(({ places }) => places.flatMap(({ entry }) => (isWhole(entry) && entry.core.kind === 'join' ? [entry] : []))),
      handovers: some.flatMap(({ handover }) => handover ?? []),
      certificate,
    });
    size = (cuts[to - 1] as ArchivedCut).header.treeSize;
    from = to;
  }
  return segments;
}

/** Headers and leaves of a segment, about: 80 KiB, which a slow line brings in a second. */
const SEGMENT_ITEMS = 2_048;

/** Follows segments from what is final here to a base. Every method throws BAD_ARCHIVE, naming what does not match. */
export class ArchiveReader {
  readonly #swarm: Hex;
  readonly #tree = new MerkleTree();
  readonly #places: (Placed | SignedEntry)[];
  readonly #keys: Map<Fingerprint, Uint8Array>;
  readonly #cuts: ArchivedCut[] = [];
  readonly #from: number;
  #block: BlockHash;
  /** Who votes on the next header, and who voted on the last. */
  #voters: readonly Fingerprint[];
  #electors: readonly Fingerprint[] = [];
  #leavesHash: Hex;

  constructor({ swarm, state, leaves }: ArchiveStart) {
    this.#swarm = swarm;
    this.#places = [...leaves];
    for (const { id } of leaves) this.#tree.append(fromHex(id));
    this.#keys = new Map(state.members.map((m) => [m.fingerprint, m.ed25519PublicKey]));
    this.#from = state.epoch;
    this.#block = state.decision;
    this.#voters = votersOf(state);
    this.#leavesHash = state.leavesHash;
  }

  /** Epoch of the last header taken. */
  get epoch(): number {
    return this.#from + this.#cuts.length;
  }

  /** Takes the next segment. What it tells of epochs that are known already is passed over, but it must tell of the next one. */
  add({ headers, treeSize, leaves, joins, handovers, certificate }: ArchiveSegment): void {
    const [first, last] = [headers[0]?.epoch ?? 0, headers.at(-1)?.epoch ?? 0];
    const next = this.epoch + 1;
    if (first > next || last < next) throw bad('epoch', `it tells of the epochs from ${first} to ${last}, ${next} is asked for`);
    const whole = new Map(joins.map((entry) => [entry.id, entry]));
    const changes = new Map(handovers.map((handover) => [handover.certificate.epoch, handover]));
    let size = treeSize;
    for (const header of headers) {
      const cut = leaves.slice(size - treeSize, header.treeSize - treeSize);
      const end = header.epoch === last ? certificate : undefined;
      if (header.epoch > this.epoch) this.#take(header, size, cut, whole, changes.get(header.epoch), end);
      size = header.treeSize;
    }
  }

  /** The state that everything leads to, and the cuts on the way. `base` must be of the last header taken. */
  finish({ epoch, certificate, state: bytes }: ArchiveBase): { readonly state: SwarmState; readonly cuts: readonly ArchivedCut[] } {
    const last = this.#cuts.at(-1);
    if (last === undefined || epoch !== this.epoch)
      throw bad('base.epoch', `the base is of epoch ${epoch}, the archive ends with ${this.epoch}`);
    this.#requireVotes(certificate, last.header, 'base.certificate');
    const state = decodeState(bytes, last.header.stateRoot);
    if (state.epoch !== epoch || state.decision !== this.#block || state.leavesHash !== this.#leavesHash)
      throw bad('base.state', 'it is not the state after the last block, or its leaves stand elsewhere');
    return { state, cuts: this.#cuts };
  }

  #take(
    header: BlockHeader,
    size: number,
    leaves: readonly Leaf[],
    joins: ReadonlyMap<EntryId, SignedEntry>,
    handover: Handover | undefined,
    end: QuorumCertificate | undefined,
  ): void {
    const field = `header ${header.epoch}`;
    if (header.swarm !== this.#swarm) throw bad(`${field}.swarm`, `it is of swarm ${header.swarm}`);
    if (header.prev !== this.#block) throw bad(`${field}.prev`, `it follows ${header.prev}, the block before is ${this.#block}`);
    if (header.votersHash !== votersHash(this.#voters)) throw bad(`${field}.votersHash`, 'another committee votes on it');
    if (size !== this.#tree.size) throw bad(`${field}.treeSize`, `its leaves begin at ${size}, the tree has ${this.#tree.size}`);
    const places = leaves.map((leaf) => ({
      entry: this.#append(leaf, joins),
      prev: leaf.prev === null ? null : (this.#places[leaf.prev] as Placed).id,
    }));
    if (toHex(this.#tree.root()) !== header.treeRoot) throw bad(`${field}.treeRoot`, `the leaves make ${toHex(this.#tree.root())}`);
    this.#leavesHash = leavesHash(this.#leavesHash, leaves);
    this.#block = blockHash(header);
    this.#electors = this.#voters;
    if (end !== undefined) this.#requireVotes(end, header, `${field}.certificate`);
    const isHandover = header.nextVotersHash !== header.votersHash;
    const change = isHandover ? handover : undefined;
    const certificate = end ?? change?.certificate;
    this.#cuts.push({ header, leaves, places, leavesHash: this.#leavesHash, handover: change, certificate });
    if (!isHandover) return;
    if (handover === undefined || votersHash(handover.voters) !== header.nextVotersHash)
      throw bad(`${field}.nextVotersHash`, 'the committee changes, and the archive does not say to whom');
    this.#requireVotes(handover.certificate, header, `${field}.certificate`);
    this.#voters = handover.voters;
  }

  #append(leaf: Leaf, joins: ReadonlyMap<EntryId, SignedEntry>): Placed | SignedEntry {
    const place = leaf.prev === null ? this.#join(leaf, joins.get(leaf.id)) : this.#following(leaf, this.#places[leaf.prev]);
    this.#tree.append(fromHex(leaf.id));
    this.#places.push(place);
    return place;
  }

  #following({ id, lam }: Leaf, before: Placed | SignedEntry | undefined): Placed {
    if (before === undefined) throw bad(`leaf ${id}`, 'it follows a leaf that is not there');
    const { author, seq } = before.core;
    return { id, core: { author, seq: seq + 1, lam } };
  }

  #join(leaf: Leaf, entry: SignedEntry | undefined): SignedEntry {
    if (entry === undefined || !isKind(entry, 'join') || entry.core.lam !== leaf.lam) throw bad(`leaf ${leaf.id}`, 'its join is not there');
    const { mldsaPublicKey, ed25519PublicKey } = entry.core.body.certificate;
    const isOwn = fingerprintOf(mldsaPublicKey, ed25519PublicKey) === entry.core.author;
    if (!isOwn || !verifyEd25519(entryBytes(entry.coreBytes), entry.signature, ed25519PublicKey))
      throw bad(`leaf ${leaf.id}`, 'its author did not sign it');
    this.#keys.set(entry.core.author, ed25519PublicKey);
    return entry;
  }

  /** Whether q of those who vote on a header signed it. */
  #requireVotes(certificate: QuorumCertificate, header: BlockHeader, field: string): void {
    const isOf = certificate.epoch === header.epoch && certificate.step === 'precommit' && certificate.block === blockHash(header);
    if (!isOf) throw bad(field, 'it is of another block');
    verifyQuorum(certificate, this.#electors, (vote) => {
      const key = this.#keys.get(vote.voter);
      return key !== undefined && verifyVote(this.#swarm, vote, key);
    });
  }
}

const bad = (field: string, message: string): StarlingError =>
  new StarlingError('BAD_ARCHIVE', message, { field, phase: 'archive', fix: 'take the archive from another peer' });
