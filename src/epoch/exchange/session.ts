/** One epoch's sum over streams: attempts until one ends with a sum that its members have checked. */
import type { ChunkDeadline } from '../../aggregation/schedule/index.ts';
import type { sis } from '../../crypto/index.ts';
import type { Attempt, EntryId, Fingerprint, Hex, PeerId } from '../../spec/index.ts';
import { type AccusedEdge, type AverageAnswer, type AverageMessage, attemptId } from '../../wire/index.ts';
import { pullSums } from './adopt.ts';
import { Ballots } from './ballots.ts';
import { blame } from './blame.ts';
import { digestOf, sumHolds } from './check.ts';
import { Commitments } from './commitments.ts';
import { type Current, currentOf, holdersOf, openingOf, silentAuthors, wantedOf } from './current.ts';
import { judge, rowsOf, type Verdict } from './findings.ts';
import { Gate } from './gate.ts';
import { type Averaged, type AverageJob, averagedOf } from './job.ts';
import { OwnOpenings } from './openings.ts';
import { layoutOf } from './plans.ts';
import { Probe } from './probe.ts';
import { Run, type RunListener, type Sums } from './run.ts';
import { firstOf, followingOf } from './succession.ts';
import { Voter } from './voter.ts';
import { Witness } from './witness.ts';
import { type ExchangeWorld, guard, pause } from './world.ts';

/** Ms without another attempt after which a sum that no quorum signs is given up, so that its roster is settled anew. */
const STUCK_MS = 15_000;
/** Ms between looks at what is due. */
const TICK_MS = 50;
/** The same once the sum is there: what others lack is told on. */
const SETTLED_TICK_MS = 500;
/** Ms in which words are gathered before they are looked at: those of hundreds of members come at once. */
const SOON_MS = 5;
/** Share of a deadline after which a link counts as failed once somebody else has accused one: others' excuses have come by then. */
const FAILED_SHARE = 3 / 4;
/** Deadlines that who holds a sum waits for the others to hold it too, before it votes for another attempt, or goes on with its own. */
const HOLD_DEADLINES = 2;
export class Session implements RunListener {
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
  #current: Current | undefined;
  #stopped = false;
  #settled = false;
  #soon = false;
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
    this.#commitments = new Commitments(world, this.epoch, () => this.#deadlineMs);
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
    return this.#current?.attempt;
  }

  /** A newer epoch has begun, or the node stops. */
  stop(): void {
    this.#stopped = true;
    this.#witness.stop();
    this.#end(this.#current);
    this.result.resolve(undefined);
  }

  async serve(
    peer: PeerId,
    message: Exclude<AverageMessage, { kind: 'probe' }>,
  ): Promise<Pick<AverageAnswer, 'kind'> & { readonly bytes?: Uint8Array }> {
    const from = this.#world.nodeOf(peer);
    if (from === undefined) return { kind: 'refused' };
    if (message.kind === 'words') {
      const taken = this.#witness.hear(message, peer);
      this.#lookSoon();
      return { kind: taken ? 'taken' : 'later' };
    }
    if (!(await this.#gate.opens(message.attempt))) return { kind: 'later' };
    if (message.kind === 'open') return this.#open(from, message);
    this.#activate();
    const current = this.#current;
    if (current?.id !== message.attempt) return { kind: this.#isPast(message.attempt) ? 'over' : 'later' };
    if (message.kind === 'alarm') void current.probe?.within(this.#deadlineMs);
    else if (current.run === undefined || !current.rows.has(from)) return { kind: 'refused' };
    else if (message.kind === 'waiting') current.run.excused(from, message.lane);
    else if (!(await current.run.receive(from, message))) return { kind: 'refused' };
    return { kind: 'taken' };
  }

  late(): void {
    this.#current?.probe?.alarm(this.#deadlineMs);
  }

  accused(edges: readonly AccusedEdge[]): void {
    const current = this.#current;
    if (current === undefined) return;
    for (const edge of edges) if (!current.accused.some(({ from, to }) => from === edge.from && to === edge.to)) current.accused.push(edge);
    void this.#fail(current);
  }

  exchanged(sums: Sums): void {
    const current = this.#current;
    if (current !== undefined) void guard(this.#world, this.#check(current, sums));
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
    const current = this.#current;
    const isStuck = current?.held === undefined && this.#world.clock.nowMs() - this.#movedMs > STUCK_MS;
    if (this.#job.onlySigners === true && isStuck) {
      // Those who settled the roster with this node may have gone elsewhere: it is settled anew.
      this.stop();
      return;
    }
    const verdict = current === undefined ? undefined : this.#judge(current);
    if (current !== undefined && verdict?.failed === true) {
      current.failedMs ??= this.#world.clock.nowMs();
      if (current.run !== undefined) void this.#fail(current);
    }
    if (current !== undefined) this.#adoptIfDue(current);
    this.#vote(current, verdict);
    if (current !== undefined) this.#settle(current);
    this.#witness.tell();
  }

  #isPast(id: Hex): boolean {
    return (this.#ballots.get(id)?.number ?? -1) < (this.#current?.attempt.number ?? -1);
  }

  #judge({ attempt, id }: Current): Verdict {
    const { onlySigners, signers } = this.#job;
    return judge(attempt, this.#authorOf, this.#witness.findingsOf(id), onlySigners === true ? signers : undefined);
  }

  /** Ms that a chunk is waited for; twice as long in each attempt, so that links which are slow or lossy for all get through. */
  get #deadlineMs(): number {
    const number = this.#current?.attempt.number ?? 0;
    return Math.min(this.#world.genesis.epochDeadlineMs, this.#deadline.ms * 2 ** Math.min(number, 30));
  }

  readonly #authorOf = (id: EntryId): Fingerprint | undefined => this.#world.contribution(id)?.author;

  /** Begins the newest certified attempt, once all that it names is known here. */
  #activate(): void {
    const attempt = this.#ballots.newest;
    if (attempt === undefined || attempt.number <= (this.#current?.attempt.number ?? -1)) return;
    if (attempt.roster.some((id) => this.#world.contribution(id) === undefined)) return;
    this.#end(this.#current);
    const id = attemptId(attempt);
    const rows = rowsOf(attempt, this.#authorOf);
    const current = currentOf(attempt, id, rows);
    this.#current = current;
    this.#movedMs = this.#world.clock.nowMs();
    this.#witness.forget(attempt.number);
    const self = this.#world.identity.fingerprint;
    const own = this.#world.own(rows.get(self) ?? '');
    const weights = this.#world.weights(this.#job.base, attempt.roster);
    const { genesis, elements } = this.#world;
    if (rows.has(self) && own === undefined) this.#witness.say(id, { culprits: [self] });
    if (own === undefined || !rows.has(self)) return;
    const layout = layoutOf({ genesis, elements, attempt, weights, authorOf: this.#authorOf });
    this.#world.journal.log('info', 'epoch', 'an average begins', {
      epoch: this.epoch,
      attempt: attempt.number,
      schedule: layout.schedule,
      members: layout.order.length,
      why: layout.why,
    });
    current.own = own;
    current.opens = new OwnOpenings(this.#world, own);
    current.run = new Run(
      this.#world,
      { id, layout, own, deadlineMs: () => this.#deadlineMs, needed: (ms) => this.#deadline.needed(ms) },
      this,
    );
    const others = layout.order.filter((node) => node !== self);
    current.probe = new Probe(this.#world, id, others, current.run.probeBytes);
    void guard(this.#world, this.#commitments.collect(wantedOf(current), current.abort.signal));
    // What its process before this one had received is gone, and those who sent it do not know.
    if (attempt.number <= this.#voter.before) this.accused(current.run.own('restarted'));
  }

  #end(current: Current | undefined): void {
    current?.abort.abort(new Error('the attempt is over'));
    current?.run?.stop();
  }

  /** Says what failed here, once: edges of its own, and whom it does not reach. */
  async #fail(current: Current): Promise<void> {
    // Whoever looks for a liar speaks when it has found it.
    if (current.failing || current.checking || current.probe === undefined || current.run === undefined) return;
    current.failing = true;
    const unreachable = await current.probe.within(this.#deadlineMs);
    if (current !== this.#current || this.#stopped) return;
    const accused = [...current.accused];
    for (const edge of current.run.overdue(FAILED_SHARE))
      if (!accused.some(({ from, to }) => from === edge.from && to === edge.to)) accused.push(edge);
    this.#world.journal.log('warn', 'epoch', 'an average failed', {
      epoch: this.epoch,
      attempt: current.attempt.number,
      links: accused.map(({ phase, from, to, chunk, reason }) => `${phase} ${from} ${to} chunk ${chunk}: ${reason}`),
      unreachable,
    });
    current.unreachable = unreachable;
    this.#witness.say(current.id, { failure: { accused, unreachable } });
    this.#look();
  }

  async #check(current: Current, sums: Sums): Promise<void> {
    const wanted = wantedOf(current);
    const late = this.#world.clock.after(this.#deadlineMs, () => {
      this.accused(silentAuthors(current, this.#commitments, this.#world.identity.fingerprint));
    });
    await this.#commitments.collect(wanted, current.abort.signal);
    late.cancel();
    if (current.abort.signal.aborted) return;
    current.checking = true;
    try {
      if (await this.#holds(current, sums)) await this.#hold(current, sums);
      else await this.#blame(current, sums);
    } finally {
      current.checking = false;
    }
    if (current.accused.length > 0) await this.#fail(current);
  }

  /** The sum is not that of the rows that were committed to: says whose fault it is. */
  async #blame(current: Current, sums: Sums): Promise<void> {
    const { run, own } = current;
    if (run === undefined || own === undefined) return;
    const facts = { epoch: this.epoch, attempt: current.attempt.number };
    this.#world.journal.log('warn', 'epoch', 'a sum is not that of the rows that were committed to', facts);
    const commitmentOf = (id: EntryId) => this.#commitments.get(id) as sis.Commitment;
    const found = await blame(this.#world, { run, own, sums, commitmentOf, signal: current.abort.signal });
    if (current !== this.#current || this.#stopped) return;
    this.#world.journal.log('warn', 'epoch', 'a wrong sum was looked into', { ...facts, ...found });
    if (found === undefined) return;
    const [from, reason] = 'culprit' in found ? [found.culprit, found.why] : [found.silent, 'opens nothing'];
    if ('culprit' in found) this.#witness.say(current.id, { culprits: [from] });
    current.accused.push({ phase: 'allGather', from, to: this.#world.identity.fingerprint, chunk: 0, reason });
  }

  #holds({ attempt, rows }: Current, sums: Sums): Promise<boolean> {
    const { clock, seed } = this.#world;
    const ids = [...rows.values()];
    const commitments = ids.map((id) => this.#commitments.get(id) as sis.Commitment);
    const weights = this.#weightsOf(attempt);
    return sumHolds(
      clock,
      seed,
      sums,
      commitments,
      ids.map((id) => weights.get(id) as number),
    );
  }

  async #hold(current: Current, sums: Sums): Promise<void> {
    const digest = await digestOf(this.#world.clock, sums);
    if (current !== this.#current || this.#stopped || current.held !== undefined) return;
    current.held = { sums, digest, atMs: this.#world.clock.nowMs() };
    this.#witness.say(current.id, { done: digest });
    this.#look();
  }

  /** Whoever has no row in it, or could not finish, takes the sum from one that holds it. */
  #adoptIfDue(current: Current): void {
    const isDue = current.run === undefined || current.unreachable !== undefined;
    if (!isDue || current.held !== undefined || current.adopting) return;
    const [holder] = this.#holders(current);
    if (holder === undefined) return;
    current.adopting = true;
    void guard(this.#world, this.#adopt(current, holder)).finally(() => {
      current.adopting = false;
      this.#look();
    });
  }

  async #adopt(current: Current, holder: Fingerprint): Promise<void> {
    const { signal } = current.abort;
    const sums = await pullSums(this.#world, holder, current.id, signal);
    if (signal.aborted) return;
    if (sums !== undefined) await this.#commitments.collect(wantedOf(current), signal);
    if (signal.aborted) return;
    if (sums !== undefined && (await this.#holds(current, sums))) return this.#hold(current, sums);
    current.liars.add(holder);
  }

  #holders(current: Current): Fingerprint[] {
    return holdersOf(current, this.#witness.findingsOf(current.id), this.#world.identity.fingerprint);
  }

  #vote(current: Current | undefined, verdict: Verdict | undefined): void {
    const { signers, needed } = this.#job;
    if (!signers.includes(this.#world.identity.fingerprint)) return;
    if (current === undefined && this.#ballots.newest !== undefined) return;
    if (current !== undefined && (verdict === undefined || !this.#isGivenUp(current, verdict))) return;
    const number = this.#voter.next(current === undefined ? 0 : current.attempt.number + 1, signers.length, needed);
    if (number === undefined) return;
    const attempt =
      current === undefined || verdict === undefined
        ? firstOf(this.#world, this.#ballots, this.#job, number)
        : followingOf(this.#ballots, current.attempt, verdict, number);
    if (rowsOf(attempt, this.#authorOf).size === 0) return;
    const vote = this.#voter.sign(attempt);
    if (vote === undefined) return;
    this.#witness.vote(attempt, vote);
    this.#look();
  }

  /** Whether another attempt is to follow: all that count have spoken, or had the time to, and nobody can give the sum of this one. */
  #isGivenUp(current: Current, { failed, awaited, drops }: Verdict): boolean {
    if (!failed || current.failedMs === undefined) return false;
    if (current.checking && !drops.some(({ why }) => why === 'evidence')) return false;
    const waitedMs = this.#world.clock.nowMs() - current.failedMs;
    const canEnd = current.held !== undefined || this.#holders(current).length > 0;
    if (canEnd && waitedMs <= HOLD_DEADLINES * this.#deadlineMs) return false;
    return awaited.length === 0 || waitedMs > this.#deadlineMs;
  }

  /** So many voters hold the sum that no other attempt can be certified, or waited long enough for that. */
  #settle({ attempt, held, failedMs }: Current): void {
    if (held === undefined || this.#settled) return;
    const { signers, needed } = this.#job;
    const done = this.#witness.findingsOf(attemptId(attempt)).filter((f) => f.done === held.digest && signers.includes(f.node));
    const isAlone = failedMs === undefined && this.#world.clock.nowMs() - held.atMs > HOLD_DEADLINES * this.#deadlineMs;
    if (done.length < needed && !isAlone) return;
    this.#settled = true;
    this.result.resolve(averagedOf(attempt, held.sums, this.#weightsOf(attempt), (id) => this.#commitments.get(id)));
  }

  async #open(from: Fingerprint, { attempt, what, at }: Extract<AverageMessage, { kind: 'open' }>) {
    const [place = 0] = at;
    if (what === 'commitment') {
      const bytes = await this.#commitments.show(this.#ballots.get(attempt)?.roster[place] ?? '');
      return bytes === undefined ? ({ kind: 'later' } as const) : ({ kind: 'taken', bytes } as const);
    }
    const current = this.#current;
    const isAllowed = what === 'sum' || current?.rows.has(from) === true;
    const bytes = current?.id === attempt && isAllowed ? await openingOf(current, what, at) : undefined;
    return bytes === undefined ? ({ kind: 'later' } as const) : ({ kind: 'taken', bytes } as const);
  }

  #weightsOf(attempt: Attempt): Map<EntryId, number> {
    const weights = this.#world.weights(this.#job.base, attempt.roster);
    return new Map(attempt.roster.map((id, i) => [id, weights[i] as number]));
  }
}
