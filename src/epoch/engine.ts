/**
 * Drives the epoch machine: the world's messages become events, the machine's effects become the ten steps.
 * It decides nothing itself; it owns the timers and what runs one at a time.
 */
import { type EntryOf, isKind } from '../ledger/index.ts';
import {
  asStarlingError,
  type BallotBody,
  type EntryId,
  type Fingerprint,
  type Hex,
  mayContribute,
  NEGOTIATION,
  type PeerId,
  type SignedEntry,
  type StarlingError,
} from '../spec/index.ts';
import { encodeEntry, type Have, ledgerTopic, votesTopic } from '../wire/index.ts';
import { apply } from './apply.ts';
import { average } from './average.ts';
import { ballotOf, checkMembership } from './ballots.ts';
import { Challenger } from './challenger.ts';
import { Collector, type CollectorListener, isWorthKeeping } from './collector.ts';
import { Committee, type CommitteeListener } from './committee.ts';
import { createContext, type EpochContext, type EpochInit, learnDecision, peerOf, plantDecisions } from './context.ts';
import { AdaptiveDeadline } from './deadline.ts';
import { factsOf } from './facts.ts';
import { replayBlocks } from './finality.ts';
import { Inbox, type InboxListener } from './inbox.ts';
import { away, join, pendingJoins, resume } from './join.ts';
import { type MachineEvent, type MachineState, step } from './machine.ts';
import { ensureModel } from './modelPull.ts';
import { Peering } from './peering.ts';
import { decide } from './provisional.ts';
import { type Residual, residualOf } from './residual.ts';
import { checkRollback, goOn, rollback, settlePin } from './rollback.ts';
import { openTalk, type RosterTalk } from './roster.ts';
import type { UpdateSubmission } from './submission.ts';
import { type Submitted, submit } from './submit.ts';
import { LedgerSync } from './sync.ts';
import { Timers } from './timers.ts';
import { EpochTopics } from './topics.ts';
import { judge } from './verdict.ts';

/** Ms between roster ticks while nothing is collected: announcements are repeated, no more. */
const IDLE_TICK_MS = 1_000;
/** Ms between two syncs with random peers: uniform in this range. What gossip lost comes back this way. */
const SYNC_MIN_MS = 1_000;
const SYNC_MAX_MS = 3_000;
/** Ms that a start waits for a first peer before it writes to its own chain (one identity, one process). */
const FIRST_SYNC_MS = 5_000;
/** Peers that are told before a stop, and ms that it waits for them at most. */
const TOLD_PEERS = 3;
const AWAY_MS = 1_000;
/** Ms after which a failed average or a missing aggregate is tried again. */
const RETRY_MS = 500;

export interface EngineListener {
  /** Phase, head or roster changed. */
  changed(topic: 'epoch' | 'ledger' | 'trust'): void;
  /** The node must stop: IDENTITY_IN_USE or DATA_CORRUPT. */
  fatal(error: StarlingError): void;
}

export interface EngineOptions {
  /** No other node is known: nothing to ask before the first append. */
  readonly alone: boolean;
}

export class Engine implements InboxListener, CollectorListener, CommitteeListener {
  readonly ctx: EpochContext;
  talk: RosterTalk;
  readonly committee: Committee;
  readonly #listener: EngineListener;
  readonly #options: EngineOptions;
  readonly #peering: Peering;
  readonly #challenger: Challenger;
  readonly #inbox: Inbox;
  readonly #residual: Residual;
  readonly #deadline: AdaptiveDeadline;
  #state: MachineState;
  #trainers = 0;
  #stopped = false;
  #advancing: Promise<void> | undefined;
  #advanceAgain = false;
  #submitting: Promise<unknown> = Promise.resolve();
  readonly #timers: Timers;
  #collector: Collector;
  readonly #topics: EpochTopics;
  #ticking = false;
  #lastStartMs = 0;
  #previousStartMs = 0;
  /** Resolves when this node's chain has begun: nothing is appended before. */
  readonly #joined = Promise.withResolvers<void>();

  constructor(init: EpochInit, options: EngineOptions, listener: EngineListener) {
    this.ctx = createContext(init);
    this.#options = options;
    this.#listener = listener;
    this.#deadline = new AdaptiveDeadline(init.genesis);
    this.#residual = residualOf(this.ctx);
    this.#timers = new Timers(init.ports.clock);
    this.talk = openTalk(this.ctx);
    this.#collector = new Collector(this.ctx, this);
    this.#topics = new EpochTopics(init.ports.gossip, init.swarm);
    this.#state = { phase: 'idle', facts: factsOf(this.ctx, this.#deadline.ms, new Map()) };
    const sync = new LedgerSync(this.ctx);
    this.#peering = new Peering(this.ctx, sync, this.#timers);
    this.#challenger = new Challenger(this.ctx, this.#timers);
    this.committee = new Committee(this.ctx, this.#timers, this);
    this.#inbox = new Inbox(this.ctx, this, sync);
    this.ctx.replica.onAccepted((entry) => this.#accepted(entry));
    init.ports.streams.onPeer((peer, connected) => {
      if (!connected) return;
      // It may hold what nobody else could give.
      this.ctx.unavailable.clear();
      this.behind(peer);
    });
  }

  get state(): MachineState {
    return this.#state;
  }

  /** Trainers announced anywhere for this epoch, own ones included. */
  get activeTrainers(): number {
    return [...this.talk.haves].reduce((n, have) => n + have.trainers, 0);
  }

  /** Replays what the disk holds, subscribes, and joins once it has heard from the others. Resolves when it runs. */
  async start(): Promise<void> {
    this.ctx.ports.gossip.subscribe(ledgerTopic(this.ctx.swarm));
    this.ctx.ports.gossip.subscribe(votesTopic(this.ctx.swarm));
    await replayBlocks(this.ctx);
    this.ctx.pinned = settlePin(this.ctx);
    plantDecisions(this.ctx);
    this.committee.start();
    this.#challenger.start();
    await this.#advance();
    this.#begin();
    this.#timers.every(
      'sync',
      () => SYNC_MIN_MS + this.ctx.ports.entropy.uniform() * (SYNC_MAX_MS - SYNC_MIN_MS),
      // The next exchange does not wait for this one to end.
      async () => {
        for (const peer of this.#peering.some()) this.behind(peer);
      },
    );
    this.#scheduleTick(0);
    this.#watch(this.#join());
  }

  stop(): void {
    this.#stopped = true;
    this.#timers.stop();
    this.committee.stop();
  }

  /** Says that this node stops, so that nobody waits for it. What cannot be said does not keep it from stopping. */
  async goAway(): Promise<void> {
    if (this.ctx.pinned !== undefined) return;
    try {
      const entry = away(this.ctx);
      if (entry === undefined) return;
      await this.say(entry);
      // Gossip is only queued when it resolves, and the connections are about to close: a sync is answered.
      const told = this.ctx.ports.streams.peers().slice(0, TOLD_PEERS);
      const late = new Promise<void>((resolve) => this.#timers.once('away', AWAY_MS, resolve));
      await Promise.race([Promise.all(told.map((peer) => this.#peering.syncWith(peer))), late]);
    } catch (error) {
      this.ctx.ports.journal.log('warn', 'epoch', 'the others were not told that this node stops', asStarlingError(error).toJSON());
    }
  }

  /** Steps 1 to 4. One at a time: two trainers of one node share its one contribution an epoch. */
  async submit(submission: UpdateSubmission): Promise<Submitted> {
    await this.#joined.promise;
    const run = this.#submitting.then(async () => {
      const done = await submit(this.ctx, this.#residual, submission);
      this.updateNews(done.contributionId);
      return done;
    });
    this.#submitting = run.catch(() => undefined);
    return run;
  }

  /**
   * Stands at `epoch` until `goOn`: model, tree and state of that epoch at once, over restarts too; it is away for the others.
   * Throws NOT_FOUND, AGGREGATE_MISSING, DATA_CORRUPT, and then nothing has changed.
   */
  async rollbackTo(epoch: number): Promise<void> {
    await this.#joined.promise;
    await checkRollback(this.ctx, epoch);
    await this.goAway();
    this.committee.pause();
    // What is being applied ends first.
    this.ctx.pinned ??= epoch;
    await Promise.all([this.#advancing, this.#submitting]);
    rollback(this.ctx, epoch);
    this.#begin();
    this.#listener.changed('trust');
  }

  /** Ends a rollback: catches up from its own disk, then from peers. Throws DIVERGED. */
  async goOn(): Promise<void> {
    if (this.ctx.pinned === undefined) return;
    await goOn(this.ctx);
    this.committee.goOn();
    this.#begin();
    const { chain, replica } = this.ctx;
    if (replica.tip !== undefined && chain.finalized.state.members.length > 1)
      await this.say(replica.append('membership', { action: 'resume' }, chain.head.id, chain.head.state.epoch));
    for (const peer of this.ctx.ports.streams.peers()) this.behind(peer);
    await this.#advance();
    this.#listener.changed('trust');
  }

  /** Writes this voter's ballot; a block with those of q voters carries it out. Throws NOT_VOTER, NOT_FOUND, DUPLICATE and others. */
  async ballot(wanted: BallotBody): Promise<SignedEntry> {
    await this.#joined.promise;
    const body = await ballotOf(this.ctx, wanted);
    const { id, state } = this.ctx.chain.finalized;
    const entry = this.ctx.replica.append('ballot', body, id, state.epoch, []);
    await this.say(entry);
    return entry;
  }

  /** Gives up this node's membership, or takes it up again, with one of the next blocks. Throws NOT_MEMBER, DUPLICATE, PINNED. */
  async membership(action: 'leave' | 'resume'): Promise<SignedEntry> {
    await this.#joined.promise;
    checkMembership(this.ctx, action);
    const { id, state } = this.ctx.chain.head;
    const entry = this.ctx.replica.append('membership', { action }, id, state.epoch);
    await this.say(entry);
    return entry;
  }

  /** Tells the swarm of an entry that this node has just written. Where gossip fails, sync brings it. */
  async say(entry: SignedEntry): Promise<void> {
    const { gossip, journal } = this.ctx.ports;
    await gossip
      .publish(ledgerTopic(this.ctx.swarm), encodeEntry(entry))
      .catch((error: unknown) => journal.log('debug', 'epoch', 'an entry was not gossiped', asStarlingError(error).toJSON()));
  }

  /** Trainers attached to this node now. Told to the swarm: it waits for those who announce one. */
  setTrainers(count: number): void {
    this.#trainers = count;
    this.#announce();
    this.talk.tell();
  }

  updateNews(id: EntryId): void {
    this.#collector.news(id);
  }

  trainerNews(have: Have): void {
    const certificate = this.ctx.replica.graph.certificateOf(have.node);
    if (certificate === undefined || !mayContribute(certificate.nodeClass)) return;
    this.#dispatch({ type: 'trainers', node: have.node, attached: have.trainers > 0, nowMs: this.#nowMs });
    this.#listener.changed('epoch');
  }

  rosterNews(): void {
    const { talk } = this;
    const seats = talk.negotiation.config.seats.length;
    this.#dispatch({ type: 'attested', attesters: talk.attesters, seats, nowMs: this.#nowMs });
    // What a tick waits for is here: one for the attestations, one for the stances; the tick that confirms keeps its time.
    if (this.#state.phase === 'negotiating' && talk.isReadyForTick()) this.#scheduleTick(0);
  }

  behind(peer: PeerId): void {
    if (!this.#stopped) this.#watch(this.#peering.syncWith(peer).then(() => this.#advance()));
  }

  seen(): void {
    this.#dispatch({ type: 'seen', nowMs: this.#nowMs });
  }

  held(entry: EntryOf<'contribution'>): void {
    this.#deadline.arrived(this.#nowMs - this.#lastStartMs);
    this.talk.negotiation.hold(entry.id);
    this.#dispatch({ type: 'held', author: entry.core.author, nowMs: this.#nowMs });
    this.committee.voting.news();
    this.#listener.changed('epoch');
  }

  holders(id: EntryId): readonly Fingerprint[] {
    return this.talk.holders(id);
  }

  fatal(error: unknown): void {
    this.stop();
    this.#listener.fatal(asStarlingError(error));
  }

  get #nowMs(): number {
    return this.ctx.ports.clock.nowMs();
  }

  // --- the machine -------------------------------------------------------------------------------------------

  #dispatch(event: MachineEvent): void {
    // Held by a rollback, it takes part in nothing.
    if (this.#stopped || (this.ctx.pinned !== undefined && event.type !== 'begin')) return;
    const before = this.#state.phase;
    const { state, effects } = step(this.#state, event);
    this.#state = state;
    for (const effect of effects) {
      if (effect.type === 'wakeAt')
        this.#timers.once('deadline', effect.atMs - this.#nowMs, () => this.#dispatch({ type: 'timer', nowMs: this.#nowMs }));
      else if (effect.type === 'freeze') this.#freeze();
      else this.#watch(this.#average(effect.roster));
    }
    if (before === this.#state.phase) return;
    if (before === 'idle') {
      this.#previousStartMs = this.#lastStartMs;
      this.#lastStartMs = this.#nowMs;
      this.#scheduleTick(0);
    }
    this.#listener.changed('epoch');
  }

  /** A new epoch over the head: what came early for it counts now. */
  #begin(): void {
    const { chain, updates } = this.ctx;
    const epoch = chain.head.state.epoch + 1;
    this.#topics.listen(epoch);
    updates.prune(epoch);
    this.#timers.cancel('deadline');
    this.#timers.cancel('retry');
    this.talk = openTalk(this.ctx);
    this.#collector = new Collector(this.ctx, this);
    this.#dispatch({ type: 'begin', facts: factsOf(this.ctx, this.#deadline.ms, this.#state.facts.trainers) });
    this.#announce();
    this.#inbox.replay();
    if (this.ctx.pinned === undefined) this.#watch(this.#collector.begin(this.#residual));
    if (pendingJoins(this.ctx).length > 0 || (this.ctx.quorate && this.ctx.notices.size > 0))
      this.#dispatch({ type: 'membership', nowMs: this.#nowMs });
    this.#listener.changed('epoch');
  }

  #freeze(): void {
    const { negotiation } = this.talk;
    for (const id of pendingJoins(this.ctx)) negotiation.hold(id);
    const attestation = negotiation.freeze(this.#nowMs);
    if (attestation !== null) this.talk.attest(attestation);
    this.ctx.timeline.mark(this.talk.epoch, 'roster');
    this.#scheduleTick(0);
  }

  async #average(roster: readonly EntryId[]): Promise<void> {
    const base = this.ctx.chain.head;
    // The head has moved and the next epoch is about to begin: this roster is of another one.
    if (base.id !== this.talk.base) return;
    const sinceMs = this.#nowMs;
    try {
      const aggregate = await average(this.ctx, base.state, roster);
      this.ctx.timeline.mark(base.state.epoch + 1, 'average', sinceMs);
      if (this.ctx.chain.head !== base) return;
      if (this.ctx.quorate && !this.ctx.chain.isProvisional) {
        const averagedMs = this.#nowMs;
        await judge(this.ctx, base, aggregate);
        this.ctx.timeline.mark(base.state.epoch + 1, 'audit', averagedMs);
        this.#dispatch({ type: 'averaged', final: true });
        if (this.#state.phase === 'voting') this.committee.voting.begin(roster);
      } else await this.#decide(roster);
    } catch (error) {
      this.ctx.ports.journal.log('error', 'epoch', 'averaging failed; the epoch starts over', {
        epoch: base.state.epoch + 1,
        ...asStarlingError(error).toJSON(),
      });
      this.#timers.once('retry', RETRY_MS, () => this.#begin());
    }
  }

  /** Without a quorum: this node's provisional decision for the settled roster. */
  async #decide(roster: readonly EntryId[]): Promise<void> {
    const base = this.ctx.chain.head.state;
    const sinceMs = this.#nowMs;
    await decide(this.ctx, base, roster, await average(this.ctx, base, roster));
    this.ctx.timeline.mark(base.epoch + 1, 'finalise', sinceMs);
    this.#dispatch({ type: 'averaged', final: false });
    await this.#advance();
  }

  // --- the committee -----------------------------------------------------------------------------------------

  finalNews(): void {
    this.#watch(this.#advance());
  }

  /** With a quorum in reach again, what was provisional gives way; without one, this node goes on with those it reaches. */
  reachChanged(): void {
    if (this.#stopped) return;
    const { state } = this;
    if (this.ctx.quorate) {
      if (state.phase === 'voting') this.committee.voting.begin(state.roster);
      for (const peer of this.ctx.ports.streams.peers()) this.behind(peer);
      this.#watch(this.#advance());
    } else if (state.phase === 'voting') this.#watch(this.#decide(state.roster));
    // Other seats negotiate from here on.
    if (state.phase !== 'voting' && state.phase !== 'averaging' && state.phase !== 'applying') this.#begin();
  }

  // --- contributions and membership --------------------------------------------------------------------------

  #accepted(entry: SignedEntry): void {
    this.ctx.directory.learn(entry);
    this.#listener.changed('ledger');
    if (this.ctx.finals.has(this.ctx.chain.finalized.state.epoch + 1)) this.#watch(this.#advance());
    this.committee.voting.news();
    if (isKind(entry, 'decision')) {
      if (!learnDecision(this.ctx, entry)) return;
      // A roster is named, not depended on: what it names may not have come yet, and its author holds it.
      const author = peerOf(this.ctx, entry.core.author);
      if (author !== undefined && entry.core.body.roster.some((id) => !this.ctx.replica.graph.has(id))) this.behind(author);
      this.#watch(this.#advance());
    } else if (isKind(entry, 'contribution')) {
      if (this.#collector.accepted(entry)) return;
      if (isWorthKeeping(this.ctx, entry)) this.ctx.updates.expect(entry);
      else if (entry.core.body.epoch === this.ctx.chain.head.state.epoch)
        this.#deadline.arrived(this.#nowMs - (this.#state.phase === 'idle' ? this.#lastStartMs : this.#previousStartMs));
    } else if (isKind(entry, 'membership') || isKind(entry, 'ballot')) {
      this.ctx.notices.add(entry.id);
      if (this.ctx.quorate) this.#dispatch({ type: 'membership', nowMs: this.#nowMs });
    } else if (isKind(entry, 'join') && pendingJoins(this.ctx).includes(entry.id)) {
      if (this.#state.phase === 'negotiating') this.talk.negotiation.hold(entry.id);
      this.#dispatch({ type: 'membership', nowMs: this.#nowMs });
    }
  }

  #announce(): void {
    const trainers = this.ctx.pinned === undefined ? this.#trainers : 0;
    this.talk.announce(trainers);
    this.#dispatch({ type: 'trainers', node: this.ctx.self, attached: trainers > 0, nowMs: this.#nowMs });
  }

  // --- decisions ---------------------------------------------------------------------------------------------

  /** Applies what can be applied, one run at a time; a call while one runs makes it look again. */
  #advance(): Promise<void> {
    this.#advanceAgain = true;
    this.#advancing ??= this.#advanceLoop().finally(() => {
      this.#advancing = undefined;
    });
    return this.#advancing;
  }

  async #advanceLoop(): Promise<void> {
    while (this.#advanceAgain && !this.#stopped) {
      this.#advanceAgain = false;
      const sinceMs = this.#nowMs;
      const finalBefore = this.ctx.chain.finalized;
      const { voting } = this.committee;
      const applied = await apply(this.ctx);
      const head = this.ctx.chain.head;
      if (this.ctx.chain.finalized !== finalBefore) {
        if (voting.proposedMs !== undefined) this.ctx.timeline.mark(voting.epoch, 'finalise', voting.proposedMs);
        this.committee.blockApplied();
        this.committee.announce();
      }
      if (this.ctx.finals.get(this.ctx.chain.finalized.state.epoch + 1) !== undefined) this.#askAround();
      if (applied.length === 0 && this.talk.base === head.id) continue;
      for (const one of applied) {
        if (one.block !== undefined) this.ctx.timeline.mark(one.state.epoch, 'finalise');
        this.ctx.timeline.mark(one.state.epoch, 'apply', sinceMs);
        this.ctx.ports.journal.observe('apply_ms', this.#nowMs - sinceMs);
        this.ctx.ports.journal.log('info', 'epoch', one.block === undefined ? 'applied provisionally' : 'finalised', {
          epoch: one.state.epoch,
          [one.block === undefined ? 'decision' : 'block']: one.id,
          roster: one.body?.roster.length ?? 0,
          modelRoot: one.state.modelRoot,
        });
      }
      await this.#holdModel();
      if (this.ctx.pinned === undefined)
        this.#residual.settle((updateHash, epoch) => this.#isRostered(updateHash, epoch), head.state.epoch);
      if (this.talk.base !== head.id) this.#begin();
      this.#listener.changed('trust');
    }
  }

  /** A final block is here, and something that it stands on is not. */
  #askAround(): void {
    this.#timers.once('ask', RETRY_MS, () => {
      for (const peer of this.#peering.some()) this.behind(peer);
    });
  }

  /** Without the newest model nothing can be learned or voted on here: it is asked for until a peer gives it. */
  async #holdModel(): Promise<void> {
    if (await ensureModel(this.ctx)) return;
    this.#timers.once('model', RETRY_MS, () => this.#watch(this.#holdModel().then(() => this.#advance())));
  }

  /** Whether the chosen decision of `epoch` holds this own update. */
  #isRostered(updateHash: Hex, epoch: number): boolean {
    const applied = this.ctx.chain.at(epoch);
    const body = applied?.body;
    return (
      body !== undefined &&
      // What the committee refused, or what a restored model took the place of, is in no model.
      applied?.state.refused === false &&
      applied.restored === undefined &&
      this.ctx.chain.contributionsOf(body).some((e) => e.core.author === this.ctx.self && e.core.body.updateHash === updateHash)
    );
  }

  // --- sync and membership of this node ----------------------------------------------------------------------

  /** Writes the join entry that this node's chain starts with, after it has asked what the others hold of it. */
  async #join(): Promise<void> {
    if (!this.#options.alone) await this.#peering.heard(FIRST_SYNC_MS);
    if (this.#stopped) return;
    const entry = join(this.ctx) ?? (this.ctx.pinned === undefined ? resume(this.ctx) : undefined);
    this.#joined.resolve();
    if (entry === undefined) return;
    for (const peer of this.ctx.ports.streams.peers()) this.behind(peer);
    await this.ctx.ports.gossip.publish(ledgerTopic(this.ctx.swarm), encodeEntry(entry));
  }

  // --- timers ------------------------------------------------------------------------------------------------

  /** One roster tick: tell the neighbours, fetch what is missing, and negotiate once frozen. */
  async #tick(): Promise<void> {
    const { talk } = this;
    this.#collector.fetchMissing();
    // Goes on after this node's own stop: those that have not stopped yet need its voice until the epoch is over.
    if (this.#state.phase !== 'idle' && this.#state.phase !== 'collecting') {
      const outcome = await talk.negotiation.tick(this.#nowMs, this.ctx.ports.compute);
      if (talk !== this.talk) return;
      if (outcome.stance !== null) talk.stand(outcome.stance);
      if (outcome.stop !== null) this.#dispatch({ type: 'settled', roster: outcome.stop.option });
    }
    talk.tell();
  }

  /** The next tick; one at a time: a tick that is asked for while one runs comes right after it. */
  #scheduleTick(delayMs: number): void {
    this.#timers.once('tick', delayMs, () => {
      if (this.#ticking) return;
      this.#ticking = true;
      const { talk } = this;
      this.#watch(
        this.#tick().finally(() => {
          this.#ticking = false;
          const { tickMinMs, tickMaxMs } = NEGOTIATION;
          const jitterMs = tickMinMs + this.ctx.ports.entropy.uniform() * (tickMaxMs - tickMinMs);
          this.#scheduleTick(talk !== this.talk ? 0 : this.#state.phase === 'idle' ? IDLE_TICK_MS : jitterMs);
        }),
      );
    });
  }

  /** What goes wrong in the background is said, and ends the node where going on would do harm. */
  #watch(work: Promise<void>): void {
    work.catch((error: unknown) => {
      const problem = asStarlingError(error, { phase: this.#state.phase });
      this.ctx.ports.journal.log('error', 'epoch', 'a step failed', problem.toJSON());
      if (problem.code === 'IDENTITY_IN_USE' || problem.code === 'DATA_CORRUPT') this.fatal(problem);
    });
  }
}
