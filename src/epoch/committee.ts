/** This node's place in the committee: heartbeats, the votes on the present height, and whether a quorum is in reach. */
import { faultsOf, quorumOf } from '../consensus/index.ts';
import { isKind } from '../ledger/index.ts';
import {
  asStarlingError,
  type Beat,
  type EntryId,
  type Fingerprint,
  type PeerId,
  type QuorumCertificate,
  StarlingError,
  type Verdict,
  VOTING,
} from '../spec/index.ts';
import { votersOf } from '../state/index.ts';
import { encodeEntry, encodeVotesBundle, ledgerTopic, VOTES_BUNDLE_MAX_BYTES, type VotesMessage } from '../wire/index.ts';
import { ownBeat, publishBeat } from './beats.ts';
import { type EpochContext, peerOf } from './context.ts';
import { answerMs } from './ports.ts';
import type { Timers } from './timers.ts';
import { votesWereLost } from './voteLog.ts';
import { VotesInbox } from './votesInbox.ts';
import { Voting } from './voting.ts';

/** Ms between looks at who is in reach. */
const LOOK_MS = 250;
/** Ms between questions to voters for what they know of this node's own votes. */
const EARN_MS = 300;
/** Ms without enough answers after which it is said: several times what they take on a slow line. */
const WAITING_MS = 10_000;
/** Ms after which a height is opened again whose votes the disk did not take. */
const REOPEN_MS = 1_000;
/** Ms without a heartbeat before a voter can count as absent, however fast epochs are: a reboot takes less. */
const ABSENT_MS = 60_000;
/** Peers that are told of a height at a time, and one more at random. */
const NEIGHBOURS = 8;

export interface CommitteeListener {
  /** A final block is here. */
  finalNews(): void;
  /** A quorum of voters came into reach, or left it. */
  reachChanged(): void;
  /** This peer stands on something that is not here. */
  behind(peer: PeerId): void;
  fatal(error: unknown): void;
}

export class Committee {
  voting: Voting;
  readonly #ctx: EpochContext;
  readonly #listener: CommitteeListener;
  readonly #timers: Timers;
  readonly #inbox: VotesInbox;
  readonly #heard: Promise<void>;
  #beatSeq = 0;
  /** Who said what it knows of this node's votes. */
  readonly #asked = new Set<Fingerprint>();
  /** The height in which this node waits for answers. */
  #waiting: { readonly epoch: number; readonly sinceMs: number; isSaid: boolean } | undefined;
  /** The newest epoch at whose end each voter was in reach. */
  readonly #lastHere = new Map<Fingerprint, number>();

  /** `heard` resolves when those in reach at the start have told what they hold, or nobody is. */
  constructor(ctx: EpochContext, timers: Timers, heard: Promise<void>, listener: CommitteeListener) {
    this.#ctx = ctx;
    this.#heard = heard;
    this.#timers = timers;
    this.#listener = listener;
    this.voting = this.#open();
    this.#inbox = new VotesInbox(ctx, {
      voting: () => this.voting,
      ownBeat: () => this.#nextBeat(),
      ahead: (node, from) => listener.behind(peerOf(ctx, node) ?? from),
      beatNews: () => this.#look(),
    });
    ctx.ports.streams.onPeer((peer, connected) => {
      const node = ctx.directory.nodeOf(peer);
      if (connected) this.#greet(peer);
      else if (node !== undefined) ctx.reach.lose(node);
      this.#look();
    });
  }

  start(): void {
    this.blockApplied();
    this.#timers.every(
      'beat',
      () => this.#ctx.reach.everyMs,
      async () => this.#beat(),
    );
    this.#timers.every(
      'reach',
      () => LOOK_MS,
      async () => this.#look(),
    );
    this.#timers.every(
      'votes',
      () => VOTING.retellMs,
      async () => this.#tell(),
    );
    this.#timers.every(
      'earn',
      () => EARN_MS,
      () => this.#earnVote(),
    );
    this.#beat();
    this.#look();
  }

  stop(): void {
    this.voting.stop();
  }

  gossip(data: Uint8Array, from: PeerId): Verdict {
    return this.#inbox.gossip(data, from);
  }

  /** A block has become the newest: the next height begins. */
  blockApplied(): void {
    const { state } = this.#ctx.chain.finalized;
    this.#ctx.reach.setMembers(state.members.length);
    if (this.voting.base !== this.#ctx.chain.finalized) {
      // What was asked was asked about the height before.
      this.#asked.clear();
      if (this.#ctx.mayVote && votesWereLost(this.#ctx.ports.store, state.epoch + 1)) this.#ctx.abstainEpoch = state.epoch + 1;
      this.voting.stop();
      this.voting = this.#open();
    }
    for (const voter of this.voting.voters)
      if (voter === this.#ctx.self || this.#ctx.reach.isHere(voter) || !this.#lastHere.has(voter)) this.#lastHere.set(voter, state.epoch);
    if (this.#ctx.quorate) this.#removeAbsent();
  }

  /** Takes this node out of the votes and the heartbeats: a rollback holds it. */
  pause(): void {
    this.voting.stop();
    this.#ctx.mayVote = false;
    this.#asked.clear();
  }

  /** After `pause`: it follows, and votes again once it stands where the others stand. */
  goOn(): void {
    this.voting = this.#open();
    this.blockApplied();
    this.#beat();
    this.#look();
  }

  /** Tells at once where this node stands: those who missed the votes learn of the block. */
  announce(): void {
    this.#beat();
  }

  #open(): Voting {
    return new Voting(this.#ctx, this.#ctx.chain.finalized, {
      decided: (block, certificate, candidate) => {
        if (block === undefined) this.#fetchDecided(certificate);
        else {
          const finalEpoch = this.#ctx.chain.finalized.state.epoch;
          this.#ctx.finals.add({ record: { block, certificate }, header: candidate?.aggregate.header ?? null, candidate }, finalEpoch);
          this.#listener.finalNews();
        }
      },
      lacks: (_ids: readonly EntryId[], proposer) => {
        const peer = peerOf(this.#ctx, proposer);
        if (peer !== undefined) this.#listener.behind(peer);
      },
      ownVote: (vote) => this.#ownVote(vote),
      failed: () => this.#timers.once('reopen', REOPEN_MS, () => this.#reopen()),
    });
  }

  /** A certificate without its block: whoever voted for it has it. */
  #fetchDecided({ votes }: QuorumCertificate): void {
    const [peer] = votes.flatMap(({ voter }) => peerOf(this.#ctx, voter) ?? []);
    if (peer !== undefined) this.#listener.behind(peer);
  }

  // --- heartbeats and reach -----------------------------------------------------------------------------------

  #beat(): void {
    if (this.#ctx.pinned !== undefined) return;
    void publishBeat(this.#ctx, this.#nextBeat());
  }

  #nextBeat(): Beat {
    const beat = ownBeat(this.#ctx, this.#beatSeq);
    this.#beatSeq = beat.seq;
    return beat;
  }

  /** A new connection has no mesh yet: what gossip would have brought goes straight. */
  #greet(peer: PeerId): void {
    if (this.#ctx.pinned !== undefined) return;
    this.#send(peer, [{ kind: 'beat', beat: this.#nextBeat() }, ...this.#inbox.known()]);
  }

  #look(): void {
    if (this.#ctx.pinned !== undefined) return;
    const quorate = this.#ctx.reach.isQuorate(this.voting.voters, this.#ctx.self);
    if (quorate === this.#ctx.quorate) return;
    this.#ctx.quorate = quorate;
    const { journal } = this.#ctx.ports;
    const facts = { epoch: this.voting.epoch, voters: this.voting.voters.length, quorum: quorumOf(this.voting.voters.length) };
    if (quorate) journal.log('info', 'epoch', 'a quorum of voters is in reach: blocks become final', facts);
    else journal.log('warn', 'epoch', 'no quorum of voters is in reach: results are provisional', { code: 'NO_QUORUM', ...facts });
    this.#listener.reachChanged();
  }

  // --- what others must know of this height --------------------------------------------------------------------

  async #tell(): Promise<void> {
    if (!this.voting.isRunning) return;
    const { streams, entropy } = this.#ctx.ports;
    const peers = [...streams.peers()];
    const messages = this.voting.known();
    for (let n = 0; n < NEIGHBOURS && peers.length > 0; n++) {
      const [peer] = peers.splice(Math.floor(entropy.uniform() * peers.length), 1);
      if (peer !== undefined) this.#send(peer, messages);
    }
    // What waits for entries or values that came without a word looks again.
    this.voting.news();
  }

  #send(peer: PeerId, messages: readonly VotesMessage[]): void {
    if (messages.length > 0) this.#ctx.ports.streams.notify(peer, 'votes', encodeVotesBundle(messages));
  }

  // --- the right to vote ---------------------------------------------------------------------------------------

  /**
   * One identity, one process (PROTOCOL section 1): before its first vote a node hears from q-1 others which of its votes
   * they know, and which block they stand on. Alone in its committee it needs no answer, but hears first what those in reach hold
   * of its chain, and asks them: where they go on from a block that its disk has lost, it would make a second one.
   */
  async #earnVote(): Promise<void> {
    const { self } = this.#ctx;
    if (this.#ctx.mayVote || this.#ctx.pinned !== undefined || !this.voting.isVoter) return;
    const others = this.voting.voters.filter((voter) => voter !== self);
    // Behind: it follows until it stands where they stand, and asks there, where its own votes would be known.
    if (this.#isBehind(others)) {
      this.#asked.clear();
      return;
    }
    if (others.length === 0) await this.#heard;
    const needed = quorumOf(this.voting.voters.length) - 1;
    const known = others.length > 0 ? others : this.#ctx.ports.streams.peers().flatMap((peer) => this.#ctx.directory.nodeOf(peer) ?? []);
    await Promise.all(known.filter((node) => !this.#asked.has(node)).map((node) => this.#ask(node)));
    // The answers may have told of later blocks, and a rollback may have come between.
    if (this.#asked.size < needed) {
      this.#sayWaiting(needed);
      return;
    }
    if (this.#isBehind(others) || this.#ctx.pinned !== undefined) return;
    this.#ctx.mayVote = true;
    if (others.length > 0 && votesWereLost(this.#ctx.ports.store, this.voting.epoch)) this.#ctx.abstainEpoch = this.voting.epoch;
    this.#reopen();
  }

  /** Once a height, after a while: without answers this node does not vote, and nothing else tells why. */
  #sayWaiting(needed: number): void {
    const { clock, journal } = this.#ctx.ports;
    const { epoch } = this.voting;
    if (this.#waiting?.epoch !== epoch) this.#waiting = { epoch, sinceMs: clock.nowMs(), isSaid: false };
    if (this.#waiting.isSaid || clock.nowMs() - this.#waiting.sinceMs < WAITING_MS) return;
    this.#waiting.isSaid = true;
    journal.log('warn', 'epoch', 'this node does not vote yet: too few voters have told it which of its votes they know', {
      epoch,
      answers: this.#asked.size,
      needed,
      fix: 'see `starling peers`: it must be connected to as many voters',
    });
  }

  /** With more than f voters beyond this node's block, an honest one is: one liar alone keeps nobody waiting for what is not there. */
  #isBehind(others: readonly Fingerprint[]): boolean {
    const heights = others.map((voter) => this.#ctx.reach.of(voter)?.epoch ?? 0).sort((a, b) => b - a);
    return (heights[faultsOf(this.voting.voters.length)] ?? 0) > this.#ctx.chain.finalized.state.epoch;
  }

  /** The present height again, from what the disk holds of it. */
  #reopen(): void {
    this.voting.stop();
    this.voting = this.#open();
    this.#listener.reachChanged();
  }

  async #ask(node: Fingerprint): Promise<void> {
    const peer = peerOf(this.#ctx, node);
    if (peer === undefined) return;
    try {
      const answer = await this.#ctx.ports.streams.request(peer, 'votes', new Uint8Array(), {
        timeoutMs: answerMs(VOTES_BUNDLE_MAX_BYTES),
        maxResponseBytes: VOTES_BUNDLE_MAX_BYTES,
      });
      const messages = this.#inbox.bundle(answer, peer);
      // What it knows is of a height that is not this node's yet.
      if (messages.some((m) => m.kind === 'vote' && m.vote.epoch > this.voting.epoch)) return;
      this.#asked.add(node);
    } catch (error) {
      this.#ctx.ports.journal.log('debug', 'epoch', 'a node did not say which votes it knows', asStarlingError(error, { peer }).toJSON());
    }
  }

  /** A vote of this node that its own log does not hold. */
  #ownVote(vote: { readonly epoch: number; readonly round: number; readonly step: string }): void {
    if (!this.#ctx.mayVote || this.#ctx.abstainEpoch === vote.epoch) {
      // A restored backup: this height is over before this node votes again.
      if (this.#ctx.abstainEpoch === vote.epoch) return;
      this.#ctx.abstainEpoch = vote.epoch;
      this.#ctx.ports.journal.log('warn', 'epoch', 'peers hold a vote that this data folder does not know: it abstains from this height', {
        ...vote,
      });
      return;
    }
    this.#listener.fatal(
      new StarlingError('IDENTITY_IN_USE', `another process votes with this node's identity (epoch ${vote.epoch}, round ${vote.round})`, {
        phase: 'finalise',
        field: 'identity',
        fix: 'stop the other daemon; if this data folder is a copy, give it an identity of its own with a fresh `starling init`',
      }),
    );
  }

  /** Ballots against voters that were out of reach for `missEpochs` (PROTOCOL section 2). */
  #removeAbsent(): void {
    const { self, genesis, replica, chain } = this.#ctx;
    const { state, id } = chain.finalized;
    if (!this.voting.isVoter || !this.#ctx.mayVote || replica.tip === undefined) return;
    for (const voter of votersOf(state)) {
      if (voter === self || state.epoch - (this.#lastHere.get(voter) ?? state.epoch) < genesis.missEpochs) continue;
      if (this.#ctx.reach.silentMs(voter) < ABSENT_MS) continue;
      if (state.motions.some((m) => m.action === 'remove' && m.subject === voter && m.ayes.includes(self)) || this.#hasBallot(voter))
        continue;
      const entry = replica.append('ballot', { action: 'remove', subject: voter, epoch: state.epoch }, id, state.epoch, []);
      void this.#ctx.ports.gossip.publish(ledgerTopic(this.#ctx.swarm), encodeEntry(entry));
    }
  }

  /** Whether a ballot against this voter waits for a block. */
  #hasBallot(voter: Fingerprint): boolean {
    return [...this.#ctx.notices].some((id) => {
      const entry = this.#ctx.replica.graph.get(id);
      return entry !== undefined && isKind(entry, 'ballot') && entry.core.author === this.#ctx.self && entry.core.body.subject === voter;
    });
  }
}
