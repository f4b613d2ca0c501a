/** Step 6, roster: what nodes hold and prefer, relayed between neighbours until they would propose the same. */
import { seatsOf } from '../consensus/forkChoice.ts';
import { type Attestation, Negotiation, type StanceView } from '../consensus/index.ts';
import { toHex } from '../crypto/index.ts';
import { type DecisionId, type Fingerprint, NEGOTIATION, type PeerId, StarlingError } from '../spec/index.ts';
import { votersOf } from '../state/index.ts';
import {
  type Attest,
  attestBytes,
  encodeRosterBundle,
  type Have,
  haveBytes,
  ROSTER_BUNDLE_MAX_BYTES,
  type RosterBundle,
  type Stance,
  signMessage,
  stanceBytes,
  verifyMessage,
} from '../wire/index.ts';
import type { EpochContext } from './context.ts';

/**
 * Ms after which a message is told again to a peer that is not known to hold it: once before those who wait for it go on
 * without (READY). Streams lose little, so each further pause is twice as long, up to the last.
 */
const RETELL_FIRST_MS = 400;
const RETELL_LAST_MS = 3_200;
/** Peers up to which each is told by a node that is connected to every seat. */
const MESH_PEERS = 64;
/** Peers that are told what others said, besides a random one, by a node that is connected to every seat: its authors tell them too. */
const NEIGHBOURS_IN_MESH = 3;
/**
 * Messages of one node that are taken in an epoch: its stances for ten minutes. Their signatures are remembered, so that
 * a relayed message is verified once; a node that floods its neighbours silences itself alone.
 */
const MAX_SEEN = 4_096;
/** Bytes of a bundle that are filled; the rest is room for its frame. */
const BUNDLE_BUDGET = ROSTER_BUNDLE_MAX_BYTES - 32 * 1024;

/** A message that is passed on, and who need not be told of it now. */
interface Word {
  readonly message: RosterMessage;
  readonly kind: RosterKind;
  /** Hex of its signature. */
  readonly key: string;
  /** Monotonic ms at which it came. */
  readonly sinceMs: number;
  /** By peer: when it is told again (never, to whoever told it), and after which pause. */
  readonly told: Map<PeerId, { readonly dueMs: number; readonly pauseMs: number }>;
}

export type RosterMessage = Have | Attest | Stance;
export type RosterKind = 'have' | 'attest' | 'stance';

/** Whether a message is signed by its node. False for a node whose join is not known here. Throws BAD_SIGNATURE. */
export function isVerified(ctx: EpochContext, message: RosterMessage, kind: RosterKind): boolean {
  const key = ctx.replica.graph.certificateOf(message.node)?.ed25519PublicKey;
  if (key === undefined) return false;
  const good =
    kind === 'have'
      ? verifyMessage(haveBytes, message as Have, key)
      : kind === 'attest'
        ? verifyMessage(attestBytes, message as Attest, key)
        : verifyMessage(stanceBytes, message as Stance, key);
  if (good) return true;
  throw new StarlingError('BAD_SIGNATURE', `a ${kind} is not signed by the node it speaks for`, { node: message.node, phase: 'roster' });
}

/**
 * The exchange for the epoch over the present head: among the voters where a block follows, else among all those in reach or
 * not whose class could vote. What others said in `before` counts where that was of the same epoch and base: they take it
 * for known here and do not say it again.
 */
export function openTalk(ctx: EpochContext, before?: RosterTalk): RosterTalk {
  const { state, id } = ctx.chain.head;
  const seats = ctx.quorate && !ctx.chain.isProvisional ? votersOf(state) : seatsOf(state);
  // Stances are numbered from the time on, so that a restart never says one number twice.
  const firstSeq = Math.floor(ctx.ports.clock.wallMs());
  const talk = new RosterTalk(ctx, new Negotiation({ epoch: state.epoch + 1, base: id, self: ctx.self, seats, firstSeq }));
  if (before?.epoch === talk.epoch && before.base === talk.base) talk.goOnFrom(before);
  return talk;
}

/** One epoch's exchange over one base. */
export class RosterTalk {
  readonly epoch: number;
  readonly base: DecisionId;
  readonly negotiation: Negotiation;
  readonly #ctx: EpochContext;
  readonly #haves = new Map<Fingerprint, Have>();
  /** What the negotiation keeps is the object it was given; this finds the signature that belongs to it. */
  readonly #words = new WeakMap<object, Word>();
  /** The same by signature: of what is passed on, and a little of what has been replaced since. */
  readonly #byKey = new Map<string, Word>();
  readonly #seen = new Map<Fingerprint, Set<string>>();
  /** Peers that stood elsewhere when they last spoke: what they were told meanwhile they did not keep. */
  readonly #apart = new Set<PeerId>();
  #neighbours: PeerId[] = [];
  #haveSeq = 0;
  #hastened = 0;

  constructor(ctx: EpochContext, negotiation: Negotiation) {
    this.#ctx = ctx;
    this.negotiation = negotiation;
    this.epoch = negotiation.config.epoch;
    this.base = negotiation.config.base;
  }

  /** Says how many trainers are attached here. The sequence number is time: it grows across restarts. */
  announce(trainers: number): void {
    const { ctx, seq } = { ctx: this.#ctx, seq: Math.max(this.#haveSeq + 1, Math.floor(this.#ctx.ports.clock.wallMs())) };
    this.#haveSeq = seq;
    const body = { epoch: this.epoch, base: this.base, node: ctx.self, seq, ids: [], trainers };
    const have = signMessage(haveBytes, body, ctx.identity);
    this.#haves.set(ctx.self, have);
    this.#note(have, have, 'have');
  }

  /** Publishes what was held at the freeze. */
  attest(attestation: Attestation): void {
    const body = { epoch: this.epoch, base: this.base, node: attestation.node, ids: attestation.ids };
    this.#note(attestation, signMessage(attestBytes, body, this.#ctx.identity), 'attest');
  }

  stand(stance: StanceView): void {
    if (this.#words.has(stance)) return;
    this.#note(stance, signMessage(stanceBytes, { epoch: this.epoch, base: this.base, ...stance }, this.#ctx.identity), 'stance');
  }

  /** Takes over what others said in a talk of the same epoch and base, which it verified. */
  goOnFrom(before: RosterTalk): void {
    for (const [node, seen] of before.#seen) this.#seen.set(node, seen);
    for (const word of before.#passedOn()) if (word.message.node !== this.#ctx.self) this.#keep(word);
  }

  /** A peer has come, or come back: nothing is known of what it holds. */
  greet(peer: PeerId): void {
    for (const { told } of this.#byKey.values()) told.delete(peer);
  }

  /** A peer stands where it does not keep what is said here. */
  partFrom(peer: PeerId): void {
    this.#apart.add(peer);
  }

  get haves(): Iterable<Have> {
    return this.#haves.values();
  }

  /** Seats that have frozen, as far as heard. */
  get attesters(): number {
    return new Set(this.negotiation.known().attests.map((a) => a.node)).size;
  }

  /**
   * Whether what a tick waits for has come: true once when more than two thirds of the seats have attested, once when as many
   * have taken a position, and twice when all have taken the same, as a stop has to hold on two ticks.
   */
  isReadyForTick(): boolean {
    const { attests, stances } = this.negotiation.known();
    const seats = this.negotiation.config.seats.length;
    const counts = [attests, stances].map((list) => new Set(list.map((m) => m.node)).size);
    const areOne = counts[1] === seats && new Set(stances.map(({ option }) => option)).size === 1;
    const reached = counts.filter((n) => 3 * n > 2 * seats).length + (areOne ? 2 : 0);
    if (reached <= this.#hastened) return false;
    this.#hastened += 1;
    return true;
  }

  /** Nodes that attested holding `id`: where an update can be had beside its author. */
  holders(id: string): Fingerprint[] {
    return this.negotiation
      .known()
      .attests.filter((a) => a.ids.includes(id))
      .map((a) => a.node);
  }

  /**
   * Takes one message of a bundle, `from` this peer where it came by itself. Returns the trainers' announcement if it was news.
   * Throws BAD_SIGNATURE: an honest node relays nothing it has not verified.
   */
  receive(message: RosterMessage, kind: RosterKind, from?: PeerId): Have | undefined {
    const key = toHex(message.signature);
    if (from !== undefined) this.#heard(key, from);
    if (this.#byKey.has(key) || (message.node === this.#ctx.self && kind !== 'stance')) return undefined;
    const seen = this.#seen.get(message.node) ?? new Set();
    if (seen.has(key) || seen.size >= MAX_SEEN) return undefined;
    const known = this.#haves.get(message.node);
    if (kind === 'have' && known !== undefined && known.seq >= (message as Have).seq) return undefined;
    if (!isVerified(this.#ctx, message, kind)) return undefined;
    this.#seen.set(message.node, seen.add(key));
    this.#keep(this.#note(message, message, kind));
    if (from !== undefined) this.#heard(key, from);
    return kind === 'have' ? (message as Have) : undefined;
  }

  /**
   * Tells each peer what it is not known to hold: own words at once, those of others through some neighbours and one random
   * peer. `isDone`: this node has decided already, and needs nothing of this.
   */
  tell(isDone: (node: Fingerprint) => boolean = () => false): void {
    const { streams, clock, entropy } = this.#ctx.ports;
    const { directory, self } = this.#ctx;
    const nowMs = clock.nowMs();
    const peers = streams.peers();
    const nodes = new Set(peers.map((peer) => directory.nodeOf(peer)));
    const isMesh = peers.length <= MESH_PEERS && this.negotiation.config.seats.every((seat) => seat === self || nodes.has(seat));
    const count = isMesh ? NEIGHBOURS_IN_MESH : NEGOTIATION.neighbours;
    if (this.#neighbours.some((p) => !peers.includes(p)) || this.#neighbours.length !== Math.min(count, peers.length))
      this.#neighbours = sample(peers, count, () => entropy.uniform());
    const others = peers.filter((p) => !this.#neighbours.includes(p));
    const relays = new Set([...this.#neighbours, ...sample(others, 1, () => entropy.uniform())]);
    const words = this.#passedOn();
    for (const peer of isMesh ? peers : relays) {
      const node = directory.nodeOf(peer);
      if (node !== undefined && isDone(node)) continue;
      // Where all are connected to all, its author tells it first.
      const isDue = (word: Word): boolean =>
        nowMs >= (word.told.get(peer)?.dueMs ?? (isMesh && word.message.node !== self ? word.sinceMs + RETELL_FIRST_MS : 0));
      const due = words.filter((word) => (word.message.node === self || relays.has(peer)) && isDue(word));
      for (const bundle of bundlesOf(due)) streams.notify(peer, 'roster', encodeRosterBundle(bundle));
      for (const { told } of due) {
        const pauseMs = Math.min(RETELL_LAST_MS, 2 * (told.get(peer)?.pauseMs ?? RETELL_FIRST_MS / 2));
        told.set(peer, { dueMs: nowMs + pauseMs, pauseMs });
      }
    }
  }

  /** `kept` is the object that the negotiation knows this message by. */
  #note(kept: object, message: RosterMessage, kind: RosterKind): Word {
    const word = { message, kind, key: toHex(message.signature), sinceMs: this.#ctx.ports.clock.nowMs(), told: new Map() };
    this.#words.set(kept, word);
    this.#byKey.set(word.key, word);
    return word;
  }

  /** Lets a verified message of another node count. */
  #keep(word: Word): void {
    const { message, kind } = word;
    this.#words.set(message, word);
    this.#byKey.set(word.key, word);
    if (kind === 'have') this.#haves.set(message.node, message as Have);
    else if (kind === 'attest') this.negotiation.onAttest(message as Attest);
    else this.negotiation.onStance(message as Stance);
  }

  /** Whoever tells a message holds it. One that has just come here was told in vain before. */
  #heard(key: string, from: PeerId): void {
    if (this.#apart.delete(from)) this.greet(from);
    this.#byKey.get(key)?.told.set(from, { dueMs: Number.POSITIVE_INFINITY, pauseMs: RETELL_LAST_MS });
  }

  /** The newest of every node. What they have replaced is forgotten. */
  #passedOn(): Word[] {
    const { attests, stances } = this.negotiation.known();
    const words = [...this.#haves.values(), ...attests, ...stances].flatMap((kept) => this.#words.get(kept) ?? []);
    if (this.#byKey.size > 2 * words.length) {
      this.#byKey.clear();
      for (const word of words) this.#byKey.set(word.key, word);
    }
    return words;
  }
}

/** Messages in as many bundles as they need. */
function bundlesOf(words: readonly Word[]): RosterBundle[] {
  const bundles: { haves: Have[]; attests: Attest[]; stances: Stance[] }[] = [];
  let bytes = BUNDLE_BUDGET;
  for (const { message, kind } of words) {
    const size = sizeOf(message);
    bytes += size;
    if (bytes > BUNDLE_BUDGET) {
      bundles.push({ haves: [], attests: [], stances: [] });
      bytes = size;
    }
    const bundle = bundles[bundles.length - 1] as (typeof bundles)[number];
    if (kind === 'have') bundle.haves.push(message as Have);
    else if (kind === 'attest') bundle.attests.push(message as Attest);
    else bundle.stances.push(message as Stance);
  }
  return bundles;
}

/** Upper bound of a message's bytes on the wire: its ids and a signature, fields and preferences. */
const sizeOf = (message: { readonly ids?: readonly string[]; readonly optionIds?: readonly string[] }): number =>
  512 + 34 * (message.ids ?? message.optionIds ?? []).length;

/** `count` of `items` without repetition, in random order (Fisher and Yates, stopped early). */
function sample<T>(items: readonly T[], count: number, uniform: () => number): T[] {
  const pool = [...items];
  const picked: T[] = [];
  while (picked.length < count && pool.length > 0) {
    const i = Math.floor(uniform() * pool.length);
    picked.push(pool[i] as T);
    pool[i] = pool[pool.length - 1] as T;
    pool.pop();
  }
  return picked;
}
