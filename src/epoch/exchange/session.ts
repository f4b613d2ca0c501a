/** One epoch's sum over streams: which attempt runs, until one ends with a sum that its members have checked. */
import type { ChunkDeadline } from '../../aggregation/schedule/index.ts';
import { type Attempt, asStarlingError, type EntryId, type Fingerprint, type Hex, type PeerId } from '../../spec/index.ts';
import type { AverageAnswer, AverageMessage } from '../../wire/index.ts';
import { Ballots } from './ballots.ts';
import { Commitments } from './commitments.ts';
import { judge, rowsOf, type Verdict } from './findings.ts';
import { Gate } from './gate.ts';
import type { Averaged, AverageJob } from './job.ts';
import { Part } from './part.ts';
import { firstOf, followingOf, isGivenUp, isSettled } from './succession.ts';
import { Voter } from './voter.ts';
import { Witness } from './witness.ts';
import { type ExchangeWorld, type OwnRow, pause } from './world.ts';

/** Ms without another attempt after which a sum that no quorum signs is given up, so that its roster is settled anew. */
const STUCK_MS = 15_000;
/** Ms between looks at what is due. */
const TICK_MS = 50;
/** The same once the sum is there: what others lack is told on. */
const SETTLED_TICK_MS = 500;
/** Ms in which words are gathered before they are looked at: those of hundreds of members come at once. */
const SOON_MS = 5;

/** What is answered to a member. */
type Answer = Pick<AverageAnswer, 'kind'> & { readonly bytes?: Uint8Array };

export class Session {
  readonly epoch: number;
  readonly base: string;
  readonly result = Promise.withResolvers<Averaged | undefined>();
  readonly #world: ExchangeWorld;
  readonly #deadline: ChunkDeadline;
  #job: AverageJob;
  readonly #ballots: Ballots;
  readonly #gate: Gate;
  readonly #voter: Voter;
  readonly #witness: Witness;
  readonly #commitments: Commitments;
  /** In the attempt that runs, or ran last. */
  #part: Part | undefined;
  #stopped = false;
  #settled = false;
  #soon = false;
  /** This node's row in the attempt that begins next: where it is read, and what came of it. */
  #recalling: { readonly row: EntryId; readonly done: Promise<void> } | undefined;
  #recalled: { readonly row: EntryId; readonly own: OwnRow | undefined } | undefined;
  /** When it last came further. */
  #movedMs: number;

  constructor(world: ExchangeWorld, deadline: ChunkDeadline, job: AverageJob) {
    this.epoch = job.base.epoch + 1;
    this.base = job.base.decision;
    this.#world = world;
    this.#deadline = deadline;
    this.#job = job;
    this.#ballots = new Ballots(job);
    this.#gate = new Gate(world.clock, this.#ballots);
    this.#voter = new Voter(world, this.#ballots, this.base);
    this.#witness = new Witness(world, this.epoch, this.base, this.#ballots);
    this.#movedMs = world.clock.nowMs();
    this.#commitments = new Commitments(world, this.epoch);
    this.#look();
    void this.#tick();
  }

  /** Whether this goes on, and sums this very roster. What was certified without a quorum counts for nothing where there is one. */
  isOf({ base, roster, onlySigners }: AverageJob): boolean {
    if (this.#stopped || this.base !== base.decision || this.#job.onlySigners !== onlySigners) return false;
    return this.#job.roster.join() === roster.join();
  }

  /** The same roster, and others to sign. */
  change(job: AverageJob): void {
    this.#job = job;
    this.#movedMs = this.#world.clock.nowMs();
    this.#ballots.setElectorate(job);
    this.#look();
  }

  isCertified(id: Hex): boolean {
    return this.#ballots.isCertified(id);
  }

  /** The attempt that runs, or ran last. */
  get attempt(): Attempt | undefined {
    return this.#part?.attempt;
  }

  /** Whether no member needs anything more of it: all have what this one sent, and hold the sum. */
  get isSpent(): boolean {
    return this.#part === undefined || this.#part.isSpent;
  }

  /** A newer epoch has begun, or the node stops. */
  stop(): void {
    this.#stopped = true;
    this.#witness.stop();
    this.#part?.stop();
    this.result.resolve(undefined);
  }

  async serve(peer: PeerId, message: Exclude<AverageMessage, { kind: 'probe' }>): Promise<Answer> {
    const from = this.#world.nodeOf(peer);
    if (from === undefined) return { kind: 'refused' };
    if (message.kind === 'words') {
      const taken = this.#witness.hear(message, peer);
      this.#lookSoon();
      return { kind: taken ? 'taken' : 'later' };
    }
    if (!(await this.#gate.opens(message.attempt))) return { kind: 'later' };
    if (message.kind === 'open') {
      const bytes = await this.#open(from, message);
      return bytes === undefined ? { kind: 'later' } : { kind: 'taken', bytes };
    }
    this.#activate();
    await this.#recalling?.done;
    const part = this.#part;
    if (part?.id !== message.attempt) return { kind: this.#isPast(message.attempt) ? 'over' : 'later' };
    return { kind: (await part.take(from, message)) ? 'taken' : 'refused' };
  }

  async #tick(): Promise<void> {
    while (!this.#stopped) {
      await pause(this.#world.clock, this.#settled ? SETTLED_TICK_MS : TICK_MS);
      this.#look();
    }
  }

  /** Looks once for all that comes within some ms. */
  #lookSoon(): void {
    if (this.#soon) return;
    this.#soon = true;
    this.#world.clock.after(SOON_MS, () => {
      this.#soon = false;
      this.#look();
    });
  }

  /** What follows from all that is known now. Idempotent. */
  #look(): void {
    if (this.#stopped) return;
    this.#activate();
    const part = this.#part;
    const isStuck = part?.held === undefined && this.#world.clock.nowMs() - this.#movedMs > STUCK_MS;
    if (this.#job.onlySigners === true && isStuck) {
      // Those who settled the roster with this node may have gone elsewhere: it is settled anew.
      this.stop();
      return;
    }
    const verdict = part === undefined ? undefined : this.#judge(part);
    if (verdict?.failed === true) part?.fail();
    part?.adoptIfDue();
    this.#vote(part, verdict);
    if (part !== undefined) this.#settle(part);
    this.#witness.tell();
  }

  #isPast(id: Hex): boolean {
    return (this.#ballots.get(id)?.number ?? -1) < (this.#part?.attempt.number ?? -1);
  }

  #judge({ attempt, id }: Part): Verdict {
    const { onlySigners, signers } = this.#job;
    return judge(attempt, this.#authorOf, this.#witness.findingsOf(id), onlySigners === true ? signers : undefined);
  }

  readonly #authorOf = (id: EntryId): Fingerprint | undefined => this.#world.contribution(id)?.author;

  /** Begins the newest certified attempt, once all that it names is known here. */
  #activate(): void {
    const attempt = this.#ballots.newest;
    if (attempt === undefined || attempt.number <= (this.#part?.attempt.number ?? -1)) return;
    if (attempt.roster.some((id) => this.#world.contribution(id) === undefined)) return;
    const row = rowsOf(attempt, this.#authorOf).get(this.#world.identity.fingerprint);
    if (row !== undefined && this.#recalled?.row !== row) {
      this.#recall(row);
      return;
    }
    const own = this.#recalled?.own;
    this.#recalled = undefined;
    this.#part?.stop();
    this.#part = new Part(this.#world, {
      attempt,
      authorOf: this.#authorOf,
      weights: this.#world.weights(this.#job.base, attempt.roster),
      cost: this.#world.cost(this.#job.base, attempt.roster),
      exponents: this.#job.base.scaleExponents,
      deadline: this.#deadline,
      commitments: this.#commitments,
      witness: this.#witness,
      changed: () => this.#look(),
    });
    this.#movedMs = this.#world.clock.nowMs();
    this.#witness.forget(attempt.number);
    this.#part.begin(own, attempt.number <= this.#voter.before);
  }

  /** Looks again when this node's row is at hand, or known to be lost: after a restart it is on disk. */
  #recall(row: EntryId): void {
    if (this.#recalling?.row === row) return;
    const recalled = this.#world.own(row).catch((error: unknown) => {
      this.#world.journal.log('error', 'epoch', "this node's own update cannot be read", asStarlingError(error).toJSON());
      return undefined;
    });
    const done = recalled.then((own) => {
      if (this.#recalling?.row !== row) return;
      this.#recalling = undefined;
      this.#recalled = { row, own };
      this.#look();
    });
    this.#recalling = { row, done };
  }

  #vote(part: Part | undefined, verdict: Verdict | undefined): void {
    const { signers, needed } = this.#job;
    if (!signers.includes(this.#world.identity.fingerprint)) return;
    if (part === undefined && this.#ballots.newest !== undefined) return;
    if (part !== undefined && (verdict === undefined || !isGivenUp(part, verdict, this.#world.clock.nowMs()))) return;
    const number = this.#voter.next(part === undefined ? 0 : part.attempt.number + 1, signers.length, needed);
    if (number === undefined) return;
    const attempt =
      part === undefined || verdict === undefined
        ? firstOf(this.#world, this.#ballots, this.#job, number)
        : followingOf(this.#ballots, part.attempt, verdict, number);
    if (rowsOf(attempt, this.#authorOf).size === 0) return;
    const vote = this.#voter.sign(attempt);
    if (vote === undefined) return;
    this.#witness.vote(attempt, vote);
    this.#look();
  }

  #settle(part: Part): void {
    if (this.#settled || part.held === undefined) return;
    if (!isSettled(part, this.#witness.findingsOf(part.id), this.#job, this.#world.clock.nowMs())) return;
    this.#settled = true;
    this.result.resolve(part.averaged(part.held));
  }

  /** Commitments of every certified attempt, the rest of the one that runs. */
  async #open(from: Fingerprint, { attempt, what, at }: Extract<AverageMessage, { kind: 'open' }>): Promise<Uint8Array | undefined> {
    const [place = 0] = at;
    if (what === 'commitment') return this.#commitments.show(this.#ballots.get(attempt)?.roster[place] ?? '');
    return this.#part?.id === attempt ? this.#part.open(from, what, at) : undefined;
  }
}
