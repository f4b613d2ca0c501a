/**
 * Drives the epoch machine: the world's messages become events, the machine's effects become the ten steps.
 * It decides nothing itself; it owns the timers and what runs one at a time.
 */
import type { EntryOf } from '../ledger/index.ts';
import {
  asStarlingError,
  type BlockHash,
  type DecisionId,
  type EntryId,
  type ErrorCode,
  type Fingerprint,
  mayContribute,
  type PeerId,
  type StarlingError,
} from '../spec/index.ts';
import { type Have, ledgerTopic, votesTopic } from '../wire/index.ts';
import { Advancer, type AdvancerListener } from './advancer.ts';
import { forgetAverage } from './average.ts';
import type { Applied } from './chain.ts';
import { Challenger } from './challenger.ts';
import type { CollectorListener } from './collector.ts';
import { Committee, type CommitteeListener } from './committee.ts';
import { createContext, type EpochContext, type EpochInit } from './context.ts';
import { Desk } from './desk.ts';
import { Diffusion, type DiffusionView, diffuses, type Learned } from './diffusion/index.ts';
import { Exchanges } from './exchange/index.ts';
import { exchangeWorld } from './exchangeWorld.ts';
import { factsOf } from './facts.ts';
import { Inbox, type InboxListener } from './inbox.ts';
import { Intake } from './intake.ts';
import { pendingJoins } from './join.ts';
import { heed, type LedgerListener } from './ledgerNews.ts';
import { type MachineEvent, type MachineState, step, TOWARDS_ROSTER } from './machine.ts';
import { Outcome, type OutcomeListener } from './outcome.ts';
import { Peering } from './peering.ts';
import { Presence } from './presence.ts';
import { type Residual, residualOf } from './residual.ts';
import { replay } from './rollback.ts';
import type { RosterTalk } from './roster.ts';
import { Rounds, type RoundsListener } from './rounds.ts';
import type { UpdateSubmission } from './submission.ts';
import type { Submitted } from './submit.ts';
import { LedgerSync } from './sync.ts';
import { Timers } from './timers.ts';
import { EpochTopics } from './topics.ts';

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

type Listeners = InboxListener &
  CollectorListener &
  CommitteeListener &
  AdvancerListener &
  OutcomeListener &
  RoundsListener &
  LedgerListener;

export class Engine implements Listeners {
  readonly ctx: EpochContext;
  readonly committee: Committee;
  readonly desk: Desk;
  readonly #listener: EngineListener;
  readonly #options: EngineOptions;
  readonly #peering: Peering;
  readonly #challenger: Challenger;
  readonly #inbox: Inbox;
  readonly #intake: Intake;
  readonly #rounds: Rounds;
  readonly #exchanges: Exchanges;
  /** Undefined where nodes without a quorum decide. */
  readonly #diffusion: Diffusion | undefined;
  #state: MachineState;
  #stopped = false;
  readonly #advancer: Advancer;
  readonly #outcome: Outcome;
  readonly #presence: Presence;
  readonly #residual: Residual;
  readonly #timers: Timers;
  readonly #topics: EpochTopics;
  /** Resolves when this node's chain has begun: nothing is appended before. */
  readonly #joined = Promise.withResolvers<void>();

  constructor(init: EpochInit, options: EngineOptions, listener: EngineListener) {
    this.ctx = createContext(init);
    this.#options = options;
    this.#listener = listener;
    this.#residual = residualOf(this.ctx);
    this.#timers = new Timers(init.ports.clock);
    this.#exchanges = new Exchanges(exchangeWorld(this.ctx, this.#residual));
    this.ctx.sums.connect(this.#exchanges);
    this.#rounds = new Rounds(this.ctx, this.#timers, this);
    this.#intake = new Intake(this.ctx, this.#residual, this);
    if (diffuses(this.ctx))
      this.#diffusion = new Diffusion(this.ctx, this.#residual, {
        trainers: () => [...this.talk.haves].filter((have) => have.trainers > 0).map((have) => have.node),
        changed: () => this.#listener.changed('epoch'),
        failed: (error) => this.failed(error),
      });
    this.#topics = new EpochTopics(init.ports.gossip, init.swarm);
    this.#state = { phase: 'idle', facts: factsOf(this.ctx, this.#intake.deadlineMs, new Map()) };
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
      atRest: () => this.#atRest(),
      advance: () => this.advance(),
      sync: (peer) => this.#peering.syncWith(peer),
      begin: () => {
        this.#begin();
        this.#listener.changed('trust');
      },
    });
    this.ctx.replica.onAccepted((entry) => heed(this.ctx, entry, this));
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

  get talk(): RosterTalk {
    return this.#rounds.talk;
  }

  /** Where this node stands while it diffuses; undefined while it does not. */
  get diffusion(): DiffusionView | undefined {
    return this.#diffusion?.view;
  }

  /** What a trainer goes on from, P f32: after the newest epoch, or this node's own while it diffuses. Throws AGGREGATE_MISSING. */
  model(): Promise<Float32Array> {
    const { chain } = this.ctx;
    return this.#diffusion?.isOn === true ? this.#diffusion.model() : chain.model(chain.head.state.epoch);
  }

  /** Trainers announced anywhere for this epoch, own ones included. */
  get activeTrainers(): number {
    return [...this.talk.haves].reduce((n, have) => n + have.trainers, 0);
  }

  /** Brings this node to where its disk is. Before `start`, and where it can be before anybody else is in reach. */
  replay(): Promise<void> {
    return replay(this.ctx, this.#residual);
  }

  /** Subscribes, and joins once it has heard from the others. Resolves when it runs. */
  async start(): Promise<void> {
    this.ctx.ports.gossip.subscribe(ledgerTopic(this.ctx.swarm));
    this.ctx.ports.gossip.subscribe(votesTopic(this.ctx.swarm));
    this.committee.start();
    this.#challenger.start();
    await this.advance();
    this.#begin();
    this.#peering.keepAsking((peer) => this.behind(peer));
    this.#rounds.hasten();
    this.#diffusion?.start();
    this.#watch(this.#presence.join(this.#options));
  }

  /** Begins nothing more at once; resolves when what is being applied or submitted has ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timers.stop();
    this.committee.stop();
    this.#exchanges.stop();
    this.#diffusion?.stop();
    await this.#atRest();
  }

  async #atRest(): Promise<void> {
    await Promise.all([this.#advancer.atRest(), this.#intake.atRest()]);
  }

  /** Steps 1 to 4; where this node diffuses, what was learned becomes part of that. */
  async submit(submission: UpdateSubmission): Promise<Submitted | Learned> {
    await this.#joined.promise;
    return this.#intake.submit(submission, {
      settled: () => this.#advancer.atRest(),
      diffusion: this.#diffusion,
      prepares: (is) => {
        if (!this.#rounds.setPreparing(is)) return;
        this.#announce();
        this.#rounds.tell();
      },
    });
  }

  /** Trainers attached to this node now. Told to the swarm: it waits for those who announce one. */
  setTrainers(count: number): void {
    this.#rounds.setTrainers(count);
    this.#announce();
    this.#rounds.tell();
  }

  updateNews(id: EntryId): void {
    this.#intake.news(id);
  }

  trainerNews(have: Have): void {
    const certificate = this.ctx.replica.graph.certificateOf(have.node);
    if (certificate === undefined || !mayContribute(certificate.nodeClass)) return;
    this.#dispatch({ type: 'trainers', node: have.node, attached: have.trainers > 0, nowMs: this.#nowMs });
    this.#listener.changed('epoch');
  }

  rosterNews(): void {
    const { attesters, negotiation } = this.talk;
    this.#dispatch({ type: 'attested', attesters, seats: negotiation.config.seats.length, nowMs: this.#nowMs });
    this.#rounds.news();
  }

  fetchMissing(): void {
    this.#intake.fetchMissing();
  }

  settled(roster: readonly EntryId[]): void {
    this.#dispatch({ type: 'settled', roster });
  }

  hasVoted(node: Fingerprint): boolean {
    const { voting } = this.committee;
    return voting.base.id === this.base && voting.votesOf(node).some(({ block }) => block !== null);
  }

  behind(peer: PeerId): void {
    if (!this.#stopped) this.#watch(this.#peering.syncWith(peer).then(() => this.advance()));
  }

  seen(author: Fingerprint | undefined): void {
    this.#dispatch({ type: 'seen', author, nowMs: this.#nowMs });
  }

  held(entry: EntryOf<'contribution'>): void {
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
    if (this.#diffusion?.isOn === true && TOWARDS_ROSTER.includes(event.type)) return;
    const before = this.#state.phase;
    const { state, effects } = step(this.#state, event);
    this.#state = state;
    for (const effect of effects) {
      if (effect.type === 'wakeAt')
        this.#timers.once('deadline', effect.atMs - this.#nowMs, () => this.#dispatch({ type: 'timer', nowMs: this.#nowMs }));
      else if (effect.type === 'freeze') this.#rounds.freeze();
      else this.#watch(this.#outcome.average(effect.roster));
    }
    if (before === this.#state.phase) return;
    if (before === 'idle') {
      this.#intake.started();
      this.#rounds.hasten();
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
    for (const timer of ['deadline', 'retry']) this.#timers.cancel(timer);
    this.#rounds.renew();
    this.#intake.renew();
    this.#dispatch({ type: 'begin', facts: factsOf(this.ctx, this.#intake.deadlineMs, this.#state.facts.trainers) });
    // Where the epoch begins anew over the same head, who trains has said so.
    for (const have of this.talk.haves) this.trainerNews(have);
    this.#announce();
    this.#inbox.replay();
    if (this.talk.attesters > 0) this.rosterNews();
    if (this.ctx.pinned === undefined) this.#watch(this.#intake.begin());
    if (pendingJoins(this.ctx).length > 0 || (this.ctx.quorate && this.ctx.notices.size > 0))
      this.#dispatch({ type: 'membership', nowMs: this.#nowMs });
    this.#listener.changed('epoch');
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
      if (state.phase === 'voting') this.committee.voting.begin(this.base, state.roster);
      for (const peer of this.ctx.ports.streams.peers()) this.behind(peer);
      this.#watch(this.advance());
    } else if (state.phase === 'voting') this.#watch(this.#outcome.decide(state.roster));
    // Other seats negotiate from here on. An exchange takes long, and goes on where they settle the same.
    const isShort = state.phase === 'averaging' && !this.ctx.isScheduled(this.ctx.chain.head.state);
    if (state.phase !== 'voting' && !isShort && state.phase !== 'applying') this.#begin();
  }

  entryNews(): void {
    this.#listener.changed('ledger');
    this.committee.voting.news();
  }

  contributed(entry: EntryOf<'contribution'>): void {
    this.#intake.accepted(entry);
  }

  membershipNews(join?: EntryId): void {
    if (join !== undefined && this.#state.phase === 'negotiating') this.talk.negotiation.hold(join);
    this.#dispatch({ type: 'membership', nowMs: this.#nowMs });
  }

  #announce(): void {
    this.#dispatch({ type: 'trainers', node: this.ctx.self, attached: this.#rounds.announce(), nowMs: this.#nowMs });
  }

  moved(applied: readonly Applied[]): void {
    if (this.talk.base !== this.ctx.chain.head.id) this.#begin();
    if (applied.some(({ block }) => block !== undefined)) this.#watch(this.#presence.stay());
    this.#listener.changed('trust');
  }

  askAround(): void {
    for (const peer of this.#peering.some()) this.behind(peer);
  }

  #watch(work: Promise<void>): void {
    work.catch((error: unknown) => this.failed(error));
  }

  /** What goes wrong in the background is said, and ends the node where going on would do harm. */
  failed(error: unknown): void {
    const problem = asStarlingError(error, { phase: this.#state.phase });
    this.ctx.ports.journal.log('error', 'epoch', 'a step failed', problem.toJSON());
    if (FATAL.includes(problem.code)) this.fatal(problem);
  }
}
