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

/** Ms after which a message is told again to a neighbour: twice before those who wait for it go on without (READY). */
const RETELL_MS = 250;
/**
 * Messages of one node that are taken in an epoch: its stances for ten minutes. Their signatures are remembered, so that
 * a relayed message is verified once; a node that floods its neighbours silences itself alone.
 */
const MAX_SEEN = 4_096;
/** Bytes of a bundle that are filled; the rest is room for its frame. */
const BUNDLE_BUDGET = ROSTER_BUNDLE_MAX_BYTES - 32 * 1024;

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
 * not whose class could vote.
 */
export function openTalk(ctx: EpochContext): RosterTalk {
  const { state, id } = ctx.chain.head;
  const seats = ctx.quorate && !ctx.chain.isProvisional ? votersOf(state) : seatsOf(state);
  // Stances are numbered from the time on, so that a restart never says one number twice.
  const firstSeq = Math.floor(ctx.ports.clock.wallMs());
  return new RosterTalk(ctx, new Negotiation({ epoch: state.epoch + 1, base: id, self: ctx.self, seats, firstSeq }));
}

/** One epoch's exchange over one base. */
export class RosterTalk {
  readonly epoch: number;
  readonly base: DecisionId;
  readonly negotiation: Negotiation;
  readonly #ctx: EpochContext;
  readonly #haves = new Map<Fingerprint, Have>();
  /** What the negotiation keeps is the object it was given; this finds the signature that belongs to it. */
  readonly #signed = new WeakMap<object, Attest | Stance>();
  readonly #seen = new Map<Fingerprint, Set<string>>();
  /** When each message was last told to each peer. */
  readonly #told = new Map<PeerId, WeakMap<object, number>>();
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
    this.#haves.set(ctx.self, signMessage(haveBytes, body, ctx.identity));
  }

  /** Publishes what was held at the freeze. */
  attest(attestation: Attestation): void {
    const body = { epoch: this.epoch, base: this.base, node: attestation.node, ids: attestation.ids };
    this.#signed.set(attestation, signMessage(attestBytes, body, this.#ctx.identity));
  }

  stand(stance: StanceView): void {
    if (this.#signed.has(stance)) return;
    this.#signed.set(stance, signMessage(stanceBytes, { epoch: this.epoch, base: this.base, ...stance }, this.#ctx.identity));
  }

  get haves(): Iterable<Have> {
    return this.#haves.values();
  }

  /** Seats that have frozen, as far as heard. */
  get attesters(): number {
    return new Set(this.negotiation.known().attests.map((a) => a.node)).size;
  }

  /**
   * True once when more than two thirds of the seats have attested, and once when as many have taken a position: what the
   * first and the second tick wait for has come.
   */
  isReadyForTick(): boolean {
    const { attests, stances } = this.negotiation.known();
    const seats = this.negotiation.config.seats.length;
    const counts = [attests, stances].map((list) => new Set(list.map((m) => m.node)).size);
    const reached = counts.filter((n) => 3 * n > 2 * seats).length;
    if (reached <= this.#hastened) return false;
    this.#hastened = reached;
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
   * Takes one message of a bundle. Returns the trainers' announcement if it was news. Throws BAD_SIGNATURE: an honest
   * node relays nothing it has not verified.
   */
  receive(message: RosterMessage, kind: RosterKind): Have | undefined {
    const key = toHex(message.signature);
    if (message.node === this.#ctx.self && kind !== 'stance') return undefined;
    const seen = this.#seen.get(message.node) ?? new Set();
    if (seen.has(key) || seen.size >= MAX_SEEN) return undefined;
    const known = this.#haves.get(message.node);
    if (kind === 'have' && known !== undefined && known.seq >= (message as Have).seq) return undefined;
    if (!isVerified(this.#ctx, message, kind)) return undefined;
    this.#seen.set(message.node, seen.add(key));
    if (kind === 'have') {
      this.#haves.set(message.node, message as Have);
      return message as Have;
    }
    this.#signed.set(message, message as Attest | Stance);
    if (kind === 'attest') this.negotiation.onAttest(message as Attest);
    else this.negotiation.onStance(message as Stance);
    return undefined;
  }

  /** Tells the neighbours, and one random peer, what they have not been told lately. */
  tell(): void {
    const { streams, clock, entropy } = this.#ctx.ports;
    const peers = streams.peers();
    if (this.#neighbours.some((p) => !peers.includes(p)) || this.#neighbours.length < Math.min(NEGOTIATION.neighbours, peers.length)) {
      this.#neighbours = sample(peers, NEGOTIATION.neighbours, () => entropy.uniform());
    }
    const others = peers.filter((p) => !this.#neighbours.includes(p));
    const nowMs = clock.nowMs();
    for (const peer of [...this.#neighbours, ...sample(others, 1, () => entropy.uniform())]) {
      for (const bundle of this.#news(peer, nowMs)) streams.notify(peer, 'roster', encodeRosterBundle(bundle));
    }
  }

  #news(peer: PeerId, nowMs: number): RosterBundle[] {
    let told = this.#told.get(peer);
    if (told === undefined) {
      told = new WeakMap();
      this.#told.set(peer, told);
    }
    const { attests, stances } = this.negotiation.known();
    const bundles: { haves: Have[]; attests: Attest[]; stances: Stance[] }[] = [];
    let bytes = BUNDLE_BUDGET;
    const room = (size: number) => {
      bytes += size;
      if (bytes > BUNDLE_BUDGET) {
        bundles.push({ haves: [], attests: [], stances: [] });
        bytes = size;
      }
      return bundles[bundles.length - 1] as (typeof bundles)[number];
    };
    const fresh = (message: object): boolean => {
      const at = told.get(message);
      if (at !== undefined && nowMs - at < RETELL_MS) return false;
      told.set(message, nowMs);
      return true;
    };
    for (const have of this.#haves.values()) if (fresh(have)) room(sizeOf(have)).haves.push(have);
    for (const a of attests) if (this.#signed.has(a) && fresh(a)) room(sizeOf(a)).attests.push(this.#signed.get(a) as Attest);
    for (const s of stances) if (this.#signed.has(s) && fresh(s)) room(sizeOf(s)).stances.push(this.#signed.get(s) as Stance);
    return bundles;
  }
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
