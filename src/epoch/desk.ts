/** What an operator asks of this node: to stop, to go back, to speak in the committee, to leave and to come back. */
import { asStarlingError, type BallotBody, type PeerId, type SignedEntry } from '../spec/index.ts';
import { encodeEntry, ledgerTopic } from '../wire/index.ts';
import { ballotOf, checkMembership } from './ballots.ts';
import type { Committee } from './committee.ts';
import type { EpochContext } from './context.ts';
import { away } from './join.ts';
import { checkRollback, goOn, rollback } from './rollback.ts';
import type { Timers } from './timers.ts';

/** Peers that are told before a stop, and ms that it waits for them at most. */
const TOLD_PEERS = 3;
const AWAY_MS = 1_000;

/** What the desk needs of whoever drives the epochs. */
export interface Drive {
  /** This node's chain has begun: nothing is appended before. */
  readonly joined: Promise<void>;
  /** Resolves when nothing is being applied or submitted. */
  atRest(): Promise<void>;
  advance(): Promise<void>;
  sync(peer: PeerId): Promise<void>;
  /** A new epoch over the head. */
  begin(): void;
}

export class Desk {
  readonly #ctx: EpochContext;
  readonly #committee: Committee;
  readonly #timers: Timers;
  readonly #drive: Drive;
  #leaving = false;

  constructor(ctx: EpochContext, committee: Committee, timers: Timers, drive: Drive) {
    this.#ctx = ctx;
    this.#committee = committee;
    this.#timers = timers;
    this.#drive = drive;
  }

  /** This node has said that it stops, or that it leaves. */
  get isLeaving(): boolean {
    return this.#leaving;
  }

  /** Says that this node stops, so that nobody waits for it. What cannot be said does not keep it from stopping. */
  async goAway(): Promise<void> {
    if (this.#ctx.pinned !== undefined) return;
    this.#leaving = true;
    try {
      const entry = away(this.#ctx);
      if (entry === undefined) return;
      await this.say(entry);
      // Gossip is only queued when it resolves, and the connections are about to close: a sync is answered.
      const told = this.#ctx.ports.streams.peers().slice(0, TOLD_PEERS);
      const late = new Promise<void>((resolve) => this.#timers.once('away', AWAY_MS, resolve));
      await Promise.race([Promise.all(told.map((peer) => this.#drive.sync(peer))), late]);
    } catch (error) {
      this.#ctx.ports.journal.log('warn', 'epoch', 'the others were not told that this node stops', asStarlingError(error).toJSON());
    }
  }

  /**
   * Stands at `epoch` until `goOn`: model, tree and state of that epoch at once, over restarts too; it is away for the others.
   * Throws NOT_FOUND, AGGREGATE_MISSING, DATA_CORRUPT, and then nothing has changed.
   */
  async rollbackTo(epoch: number): Promise<void> {
    await this.#drive.joined;
    await checkRollback(this.#ctx, epoch);
    await this.goAway();
    this.#committee.pause();
    // What is being applied ends first.
    this.#ctx.pinned ??= epoch;
    await this.#drive.atRest();
    rollback(this.#ctx, epoch);
    this.#drive.begin();
  }

  /** Ends a rollback: catches up from its own disk, then from peers. Throws DIVERGED. */
  async goOn(): Promise<void> {
    if (this.#ctx.pinned === undefined) return;
    await goOn(this.#ctx);
    this.#leaving = false;
    this.#committee.goOn();
    this.#drive.begin();
    const { chain, replica, ports } = this.#ctx;
    if (replica.tip !== undefined && chain.finalized.state.members.length > 1)
      await this.say(replica.append('membership', { action: 'resume' }, chain.head.id, chain.head.state.epoch));
    for (const peer of ports.streams.peers()) void this.#drive.sync(peer).catch(() => undefined);
    await this.#drive.advance();
  }

  /** Writes this voter's ballot; a block with those of q voters carries it out. Throws NOT_VOTER, NOT_FOUND, DUPLICATE and others. */
  async ballot(wanted: BallotBody): Promise<SignedEntry> {
    await this.#drive.joined;
    const body = await ballotOf(this.#ctx, wanted);
    const { id, state } = this.#ctx.chain.finalized;
    return await this.#write(this.#ctx.replica.append('ballot', body, id, state.epoch, []));
  }

  /** Gives up this node's membership, or takes it up again, with one of the next blocks. Throws NOT_MEMBER, DUPLICATE, PINNED. */
  async membership(action: 'leave' | 'resume'): Promise<SignedEntry> {
    await this.#drive.joined;
    checkMembership(this.#ctx, action);
    this.#leaving = action === 'leave';
    const { id, state } = this.#ctx.chain.head;
    return await this.#write(this.#ctx.replica.append('membership', { action }, id, state.epoch));
  }

  /** Tells the swarm of an entry that this node has just written. Where gossip fails, sync brings it. */
  async say(entry: SignedEntry): Promise<void> {
    const { gossip, journal } = this.#ctx.ports;
    await gossip
      .publish(ledgerTopic(this.#ctx.swarm), encodeEntry(entry))
      .catch((error: unknown) => journal.log('debug', 'epoch', 'an entry was not gossiped', asStarlingError(error).toJSON()));
  }

  async #write(entry: SignedEntry): Promise<SignedEntry> {
    await this.say(entry);
    return entry;
  }
}
