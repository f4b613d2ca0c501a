/**
 * Drives the epoch machine: the world's messages become events, the machine's effects become the ten steps.
 * It decides nothing itself; it owns the timers and what runs one at a time.
 */
import { type EntryOf, isKind } from '../ledger/index.ts';
import {
  asStarlingError,
  type BlockHash,
  type DecisionId,
  type EntryId,
  type ErrorCode,
  type Fingerprint,
  mayContribute,
  NEGOTIATION,
  type PeerId,
  type SignedEntry,
  type StarlingError,
} from '../spec/index.ts';
import { type Have, ledgerTopic, votesTopic } from '../wire/index.ts';
import { Advancer, type AdvancerListener } from './advancer.ts';
import { forgetAverage } from './average.ts';
import type { Applied } from './chain.ts';
import { Challenger } from './challenger.ts';
import { Collector, type CollectorListener, isWorthKeeping } from './collector.ts';
import { Committee, type CommitteeListener } from './committee.ts';
import { createContext, type EpochContext, type EpochInit, learnDecision, peerOf, plantDecisions } from './context.ts';
import { AdaptiveDeadline } from './deadline.ts';
import { Desk } from './desk.ts';
import { Exchanges } from './exchange/index.ts';
import { exchangeWorld } from './exchangeWorld.ts';
import { factsOf } from './facts.ts';
import { replayBlocks } from './finality.ts';
import { Inbox, type InboxListener } from './inbox.ts';
import { pendingJoins } from './join.ts';
import { type MachineEvent, type MachineState, step } from './machine.ts';
import { Outcome, type OutcomeListener } from './outcome.ts';
import { Peering } from './peering.ts';
import { Presence } from './presence.ts';
import { type Residual, residualOf } from './residual.ts';
import { settlePin } from './rollback.ts';
import { openTalk, type RosterTalk } from './roster.ts';
import type { UpdateSubmission } from './submission.ts';
import { type Submitted, submit } from './submit.ts';
import { LedgerSync } from './sync.ts';
import { Ticker } from './ticker.ts';
import { Timers } from './timers.ts';
import { EpochTopics } from './topics.ts';

/** Ms between roster ticks while nothing is collected: announcements are repeated, no more. */
const IDLE_TICK_MS = 1_000;
/** Ms after which a failed average is tried again. */
const RETRY_MS = 500;

/** Going on would do harm: two processes sign as one, or what this node computes is not what the swarm agreed on. */
const FATAL: readonly ErrorCode[] = ['IDENTITY_IN_USE', 'DATA_CORRUPT', 'DIVERGED'];

export interface EngineListener {
  /** Phase, head or roster changed. */
  changed(topic: 'epoch' | 'ledger' | 'trust'): void;
  /** The node must stop: IDENTITY_IN_USE, DATA_CORRUPT or DIVERGED. */
  fatal(error: StarlingError): void;
}

export interface EngineOptions {
  /** No other node is known: one that has written before need not wait for answers. */
  readonly alone: boolean;
  /** This data folder has founded the swarm, and no block has been final here since: the one case in which the first may be made alone. */
  readonly founds: boolean;
}

export class Engine implements InboxListener, CollectorListener, CommitteeListener, AdvancerListener, OutcomeListener {
  readonly ctx: EpochContext;
  talk: RosterTalk;
  readonly committee: Committee;
  readonly desk: Desk;
  readonly #listener: EngineListener;
  readonly #options: EngineOptions;
  readonly #peering: Peering;
  readonly #challenger: Challenger;
  readonly #inbox: Inbox;
  readonly #residual: Residual;
  readonly #deadline: AdaptiveDeadline;
  readonly #exchanges: Exchanges;
  #state: MachineState;
  #trainers = 0;
  #stopped = false;
  readonly #advancer: Advancer;
  readonly #outcome: Outcome;
  readonly #presence: Presence;
  #submitting: Promise<unknown> = Promise.resolve();
  readonly #timers: Timers;
  #collector: Collector;
  readonly #topics: EpochTopics;
  readonly #ticker: Ticker;
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
    this.#exchanges = new Exchanges(exchangeWorld(this.ctx, this.#residual));
    this.ctx.sums.connect(this.#exchanges);
    this.#ticker = new Ticker(
      this.#timers,
      () => this.#tick(),
      (error) => this.#failed(error),
    );
    this.talk = openTalk(this.ctx);
    this.#collector = new Collector(this.ctx, this);
    this.#topics = new EpochTopics(init.ports.gossip, init.swarm);
    this.#state = { phase: 'idle', facts: factsOf(this.ctx, this.#deadline.ms, new Map()) };
    const sync = new LedgerSync(this.ctx);
    this.#peering = new Peering(this.ctx, sync, this.#timers);
    this.#challenger = new Challenger(this.ctx, this.#timers);
    this.committee = new Committee(this.ctx, this.#timers, this.#joined.promise, this);
    this.#advancer = new Advancer(this.ctx, this.committee, this.#residual, this.#timers, this);
    this.#outcome = new Outcome(this.ctx, this.committee, this.#joined.promise, this);
    this.#inbox = new Inbox(this.ctx, this, sync);
    this.#presence = new Presence(this.ctx, this.#peering, () => this.desk, this.#joined.resolve);
    this.desk = new Desk(this.ctx, this.committee, this.#timers, {
      joined: this.#joined.promise,
      atRest: async () => {
        await Promise.all([this.#advancer.atRest(), this.#submitting]);
      },
      advance: () => this.advance(),
      sync: (peer) => this.#peering.syncWith(peer),
      begin: () => {
        this.#begin();
        this.#listener.changed('trust');
      },
    });
    this.ctx.replica.onAccepted((entry) => this.#accepted(entry));
    init.ports.streams.onPeer((peer, connected) => {
      if (!connected) return;
      this.talk.greet(peer);
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
    await this.advance();
    this.#begin();
    this.#peering.keepAsking((peer) => this.behind(peer));
    this.#ticker.next(0);
    this.#watch(this.#presence.join(this.#options));
  }

  /** Begins nothing more at once; resolves when what is being applied or submitted has ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timers.stop();
    this.committee.stop();
    this.#exchanges.stop();
    await Promise.all([this.#advancer.atRest(), this.#submitting]);
  }

  /** Steps 1 to 4. One at a time: two trainers of one node share its one contribution an epoch. */
  async submit(submission: UpdateSubmission): Promise<Submitted> {
    await this.#joined.promise;
    const run = this.#submitting.then(async () => {
      // A step that has just been taken may not have left the residual yet.
      await this.#advancer.atRest();
      const done = await submit(this.ctx, this.#residual, submission);
      this.updateNews(done.contributionId);
      return done;
    });
    this.#submitting = run.catch(() => undefined);
    return run;
  }

  /** Trainers attached to this node now. Told to the swarm: it waits for those who announce one. */
  setTrainers(count: number): void {
    this.#trainers = count;
    this.#announce();
    this.#tell();
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
    // What a tick waits for is here; the tick that confirms keeps its time unless all are of one mind.
    if (this.#state.phase === 'negotiating' && talk.isReadyForTick()) this.#ticker.next(0);
  }

  behind(peer: PeerId): void {
    if (!this.#stopped) this.#watch(this.#peering.syncWith(peer).then(() => this.advance()));
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

  holders = (id: EntryId): readonly Fingerprint[] => this.talk.holders(id);

  fatal(error: unknown): void {
    void this.stop();
    this.#listener.fatal(asStarlingError(error));
  }

  get base(): BlockHash | DecisionId {
    return this.talk.base;
  }

  get #nowMs(): number {
    return this.ctx.ports.clock.nowMs();
  }

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
      else this.#watch(this.#outcome.average(effect.roster));
    }
    if (before === this.#state.phase) return;
    if (before === 'idle') {
      this.#previousStartMs = this.#lastStartMs;
      this.#lastStartMs = this.#nowMs;
      this.#ticker.next(0);
    }
    this.#listener.changed('epoch');
  }

  /** A new epoch over the head: what came early for it counts now. */
  #begin(): void {
    const { chain, updates } = this.ctx;
    const epoch = chain.head.state.epoch + 1;
    this.#topics.listen(epoch);
    updates.prune(epoch);
    forgetAverage(this.ctx);
    this.#timers.cancel('deadline');
    this.#timers.cancel('retry');
    this.talk = openTalk(this.ctx, this.talk);
    this.#collector.end();
    this.#collector = new Collector(this.ctx, this);
    this.#dispatch({ type: 'begin', facts: factsOf(this.ctx, this.#deadline.ms, this.#state.facts.trainers) });
    this.#announce();
    this.#inbox.replay();
    if (this.talk.attesters > 0) this.rosterNews();
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
    this.#ticker.next(0);
  }

  averaged(final: boolean): void {
    this.#dispatch({ type: 'averaged', final });
  }

  advance(): Promise<void> {
    return this.#advancer.advance();
  }

  again(): void {
    this.#begin();
  }

  failedToAverage(): void {
    this.#timers.once('retry', RETRY_MS, () => this.#begin());
  }

  finalNews(): void {
    this.#watch(this.advance());
  }

  /** With a quorum in reach again, what was provisional gives way; without one, this node goes on with those it reaches. */
  reachChanged(): void {
    if (this.#stopped) return;
    const { state } = this;
    if (this.ctx.quorate) {
      if (state.phase === 'voting') this.committee.voting.begin(state.roster);
      for (const peer of this.ctx.ports.streams.peers()) this.behind(peer);
      this.#watch(this.advance());
    } else if (state.phase === 'voting') this.#watch(this.#outcome.decide(state.roster));
    // Other seats negotiate from here on. An exchange takes long, and goes on where they settle the same.
    const isShort = state.phase === 'averaging' && !this.ctx.isScheduled(this.ctx.chain.head.state);
    if (state.phase !== 'voting' && !isShort && state.phase !== 'applying') this.#begin();
  }

  #accepted(entry: SignedEntry): void {
    this.ctx.directory.learn(entry);
    this.#listener.changed('ledger');
    if (this.ctx.finals.has(this.ctx.chain.finalized.state.epoch + 1)) this.#watch(this.advance());
    this.committee.voting.news();
    if (isKind(entry, 'decision')) {
      if (!learnDecision(this.ctx, entry)) return;
      // A roster is named, not depended on: what it names may not have come yet, and its author holds it.
      const author = peerOf(this.ctx, entry.core.author);
      if (author !== undefined && entry.core.body.roster.some((id) => !this.ctx.replica.graph.has(id))) this.behind(author);
      this.#watch(this.advance());
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

  moved(applied: readonly Applied[]): void {
    if (this.talk.base !== this.ctx.chain.head.id) this.#begin();
    if (applied.some(({ block }) => block !== undefined)) this.#watch(this.#presence.stay());
    this.#listener.changed('trust');
  }

  askAround(): void {
    for (const peer of this.#peering.some()) this.behind(peer);
  }

  /** One roster tick: tell the neighbours, fetch what is missing, and negotiate once frozen. Ms until the next. */
  async #tick(): Promise<number> {
    const { talk } = this;
    this.#collector.fetchMissing();
    // Goes on after this node's own stop: those that have not stopped yet need its voice until the epoch is over.
    if (this.#state.phase !== 'idle' && this.#state.phase !== 'collecting') {
      const outcome = await talk.negotiation.tick(this.#nowMs, this.ctx.ports.compute);
      if (talk !== this.talk) return 0;
      if (outcome.stance !== null) talk.stand(outcome.stance);
      if (outcome.stop !== null) this.#dispatch({ type: 'settled', roster: outcome.stop.option });
    }
    this.#tell();
    if (talk !== this.talk || (this.#state.phase === 'negotiating' && talk.isReadyForTick())) return 0;
    const { tickMinMs, tickMaxMs } = NEGOTIATION;
    return this.#state.phase === 'idle' ? IDLE_TICK_MS : tickMinMs + this.ctx.ports.entropy.uniform() * (tickMaxMs - tickMinMs);
  }

  /** Those who have voted on this epoch's block need nothing more of its roster. */
  #tell(): void {
    const { base, committee } = this;
    this.talk.tell((node) => committee.voting.base.id === base && committee.voting.votesOf(node).length > 0);
  }

  #watch(work: Promise<void>): void {
    work.catch((error: unknown) => this.#failed(error));
  }

  /** What goes wrong in the background is said, and ends the node where going on would do harm. */
  #failed(error: unknown): void {
    const problem = asStarlingError(error, { phase: this.#state.phase });
    this.ctx.ports.journal.log('error', 'epoch', 'a step failed', problem.toJSON());
    if (FATAL.includes(problem.code)) this.fatal(problem);
  }
}
