/**
 * This node's part in one certified attempt: it exchanges chunks, checks the sum that comes of them and says that it holds it; or says what
 * failed, and takes the sum from one that holds it.
 */
import type { ChunkDeadline, LinkCost } from '../../aggregation/schedule/index.ts';
import type { Attempt, EntryId, ErrorCode, Fingerprint, Hex } from '../../spec/index.ts';
import { type AccusedEdge, type AverageMessage, attemptId, type OpeningKind } from '../../wire/index.ts';
import { chunkOf, pullSums } from './adopt.ts';
import { open } from './ask.ts';
import { encodeReceipt } from './blame.ts';
import { digestOf } from './check.ts';
import type { Commitments } from './commitments.ts';
import { type AuthorOf, rowsOf } from './findings.ts';
import type { Averaged } from './job.ts';
import { OwnOpenings } from './openings.ts';
import { layoutOf, type SumShape, shapeOf } from './plans.ts';
import { Probe } from './probe.ts';
import { culpritOf, encodeWrong } from './proof.ts';
import { Run, type RunListener, type Sums } from './run.ts';
import { SumCheck } from './sumCheck.ts';
import type { Witness } from './witness.ts';
import { type ExchangeWorld, guard, type OwnRow } from './world.ts';

/** Share of a deadline after which a link counts as failed once somebody else has accused one: others' excuses have come by then. */
const FAILED_SHARE = 3 / 4;
/** Why a link is accused over which something came that its sender signed and no honest member sends: its accuser can show it. */
const PROVABLE: readonly string[] = ['MALFORMED', 'BOUNDS_EXCEEDED'] satisfies ErrorCode[];

export interface PartInput {
  readonly attempt: Attempt;
  readonly authorOf: AuthorOf;
  /** One for each id of the whole roster. */
  readonly weights: readonly number[];
  /** Of its links, as the rostered entries tell. */
  readonly cost: LinkCost | undefined;
  readonly deadline: ChunkDeadline;
  readonly commitments: Commitments;
  readonly witness: Witness;
  /** Something that decides about the attempt has changed. */
  readonly changed: () => void;
}

export class Part implements RunListener {
  readonly attempt: Attempt;
  readonly id: Hex;
  /** Contributions that are summed, by author. */
  readonly rows: ReadonlyMap<Fingerprint, EntryId>;
  /** The sums that were checked, and their digest. */
  held: { readonly sums: Sums; readonly digest: Hex; readonly atMs: number } | undefined;
  /** When it was first taken for failed here. */
  failedMs: number | undefined;
  /** All was exchanged, and is checked or looked into. */
  checking = false;
  readonly #world: ExchangeWorld;
  readonly #input: PartInput;
  readonly #check: SumCheck;
  readonly #shape: SumShape;
  readonly #abort = new AbortController();
  readonly #accused: AccusedEdge[] = [];
  /** Of a member with a row. */
  #member: { readonly own: OwnRow; readonly opens: OwnOpenings; readonly run: Run; readonly probe: Probe } | undefined;
  #failing = false;
  /** Whom it did not reach when it failed; undefined before. */
  #unreachable: readonly Fingerprint[] | undefined;
  #adopting = false;
  /** Whose sum was not what it announced. */
  readonly #liars = new Set<Fingerprint>();
  /** Whom this node found to lie to members. */
  readonly #culprits = new Set<Fingerprint>();

  constructor(world: ExchangeWorld, input: PartInput) {
    const { attempt, authorOf, weights, commitments } = input;
    this.#world = world;
    this.#input = input;
    this.attempt = attempt;
    this.id = attemptId(attempt);
    this.rows = rowsOf(attempt, authorOf);
    const { id, rows } = this;
    const weighing = [...rows.values()].map((row) => weights[attempt.roster.indexOf(row)] as number);
    this.#shape = shapeOf(world.genesis, world.elements, weighing);
    this.#check = new SumCheck(world, { attempt, id, rows, weights, commitments, deadlineMs: () => this.deadlineMs });
  }

  /** Ms that a chunk is waited for; twice as long in each attempt, so that links which are slow or lossy for all get through. */
  get deadlineMs(): number {
    return Math.min(this.#world.genesis.epochDeadlineMs, this.#input.deadline.ms * 2 ** Math.min(this.attempt.number, 30));
  }

  /** Exchanges, where this node has a row in it: `own`, undefined where it is not kept. `restarted`: a process before this one may have begun. */
  begin(own: OwnRow | undefined, restarted: boolean): void {
    const { id, attempt, rows } = this;
    const { genesis, elements, identity, journal } = this.#world;
    const { weights, cost, authorOf, witness, deadline } = this.#input;
    if (!rows.has(identity.fingerprint)) return;
    if (own === undefined) {
      witness.say(id, { culprits: [identity.fingerprint] });
      return;
    }
    const layout = layoutOf({ genesis, elements, attempt, weights, cost, authorOf });
    journal.log('info', 'epoch', 'an average begins', {
      epoch: attempt.epoch,
      attempt: attempt.number,
      schedule: layout.schedule,
      members: layout.order.length,
      why: layout.why,
    });
    const times = { deadlineMs: () => this.deadlineMs, needed: (ms: number) => deadline.needed(ms) };
    const run = new Run(this.#world, { id, layout, own, ...times }, this);
    const others = layout.order.filter((node) => node !== identity.fingerprint);
    const probe = new Probe(this.#world, id, others, run.probeBytes);
    this.#member = { own, opens: new OwnOpenings(this.#world, own), run, probe };
    void guard(this.#world, this.#check.collect(this.#abort.signal));
    // What its process before this one had received is gone, and those who sent it do not know.
    if (restarted) this.accused(run.own('restarted'));
  }

  stop(): void {
    this.#abort.abort(new Error('the attempt is over'));
    this.#member?.run.stop();
    for (const lane of this.#member?.run.lanes ?? []) lane.letGo();
  }

  /** A request of a member; false: it is not one that its sender may make. */
  async take(from: Fingerprint, message: Extract<AverageMessage, { kind: 'alarm' | 'waiting' | 'chunk' }>): Promise<boolean> {
    if (message.kind === 'alarm') {
      void this.#member?.probe.within(this.deadlineMs);
      return true;
    }
    if (this.#member === undefined || !this.rows.has(from)) return false;
    if (message.kind === 'chunk') return this.#member.run.receive(from, message);
    this.#member.run.excused(from, message.lane);
    return true;
  }

  /** What is asked of a sum that is made, or was refused: the sum by anyone, the rest by members. */
  async open(from: Fingerprint, what: OpeningKind, at: readonly number[]): Promise<Uint8Array | undefined> {
    if (what === 'sum') return this.held === undefined ? undefined : chunkOf(this.held.sums, this.#shape, at);
    if (this.#member === undefined || !this.rows.has(from)) return undefined;
    const { opens, run } = this.#member;
    const [first = 0, second = 0, third = 0, fourth = 0] = at;
    if (what === 'part') return opens.part(first, second);
    if (what === 'rho') return opens.rho();
    if (what === 'row') return opens.row(first);
    if (what === 'wrong') return run.wrong === undefined ? undefined : encodeWrong(run.wrong);
    const receipt = what === 'sent' ? run.lanes[first]?.receipt({ step: second, from: third }, fourth) : undefined;
    return receipt === undefined ? undefined : encodeReceipt(receipt);
  }

  late(): void {
    this.#member?.probe.alarm(this.deadlineMs);
  }

  accused(edges: readonly AccusedEdge[]): void {
    addTo(this.#accused, edges);
    void this.#fail();
  }

  exchanged(sums: Sums): void {
    void guard(this.#world, this.#judge(sums));
  }

  /** What members have said ends it: this one says what failed here. */
  fail(): void {
    this.failedMs ??= this.#world.clock.nowMs();
    void this.#fail();
  }

  /** Others in reach that say they hold the sum. */
  holders(): Fingerprint[] {
    const out = new Set([this.#world.identity.fingerprint, ...this.#liars, ...(this.#unreachable ?? [])]);
    return this.#input.witness.findingsOf(this.id).flatMap(({ node, done }) => (done === null || out.has(node) ? [] : [node]));
  }

  /** Whoever has no row in it, or could not finish, takes the sum from one that holds it. */
  adoptIfDue(): void {
    const isDue = this.#member === undefined || this.#unreachable !== undefined;
    if (!isDue || this.held !== undefined || this.#adopting) return;
    const [holder] = this.holders();
    if (holder === undefined) return;
    this.#adopting = true;
    void guard(this.#world, this.#adopt(holder)).finally(() => {
      this.#adopting = false;
      this.#input.changed();
    });
  }

  /** Whether no member needs anything more of it: all have what this one sent, and hold the sum. */
  get isSpent(): boolean {
    const holders = new Set(this.#input.witness.findingsOf(this.id).flatMap(({ node, done }) => (done === null ? [] : [node])));
    const isSent = this.#member?.run.lanes.every(({ machine }) => machine.isDone) ?? true;
    return isSent && [...this.rows.keys()].every((node) => holders.has(node));
  }

  /** What is held. */
  averaged({ sums }: NonNullable<Part['held']>): Averaged {
    return this.#check.averaged(sums);
  }

  /** Says what failed here, once: edges of its own, and whom it does not reach. */
  async #fail(): Promise<void> {
    // Whoever looks for a liar speaks when it has found it.
    if (this.#failing || this.checking || this.#member === undefined) return;
    this.#failing = true;
    const { probe, run } = this.#member;
    const [unreachable] = await Promise.all([probe.within(this.deadlineMs), this.#lookAtProofs(run)]);
    if (this.#isOver) return;
    const accused = [...this.#accused];
    addTo(accused, run.overdue(FAILED_SHARE));
    this.#world.journal.log('warn', 'epoch', 'an average failed', {
      ...this.#facts,
      links: accused.map(({ phase, from, to, chunk, reason }) => `${phase} ${from} ${to} chunk ${chunk}: ${reason}`),
      unreachable,
    });
    this.#unreachable = unreachable;
    this.#input.witness.say(this.id, { failure: { accused, unreachable }, culprits: [...this.#culprits].sort() });
    this.#input.changed();
  }

  /** Has those who accuse a link of something that they can show show it: each sender is looked at once, accusers spread over the members. */
  async #lookAtProofs(run: Run): Promise<void> {
    const { order } = run.layout;
    const self = this.#world.identity.fingerprint;
    const shownBy = new Map<Fingerprint, Fingerprint[]>();
    if (run.wrong !== undefined) shownBy.set(order[run.wrong.from] as Fingerprint, [self]);
    for (const { node, failure } of this.#input.witness.findingsOf(this.id))
      for (const { from, to, reason } of failure?.accused ?? [])
        if (to === node && this.rows.has(to) && PROVABLE.includes(reason)) shownBy.set(from, [...(shownBy.get(from) ?? []), to]);
    const options = { signal: this.#abort.signal, timeoutMs: this.deadlineMs / 2 };
    const looked = [...shownBy.values()].map(async (nodes) => {
      const own = nodes.includes(self) ? run.wrong : undefined;
      const node = own === undefined ? (nodes[order.indexOf(self) % nodes.length] as Fingerprint) : self;
      const shown = own === undefined ? await open(this.#world, node, this.id, 'wrong', [], options) : encodeWrong(own);
      const culprit = shown === undefined ? undefined : culpritOf(this.#world, this.id, run.layout, node, shown);
      if (culprit === undefined) return;
      this.#culprits.add(culprit);
      const facts = { ...this.#facts, culprit, why: 'sent what nobody honest sends', shownBy: node };
      this.#world.journal.log('warn', 'epoch', 'a member was found to lie', facts);
    });
    await Promise.all(looked);
  }

  /** Holds what was exchanged, or finds out who made it wrong. */
  async #judge(sums: Sums): Promise<void> {
    const late = this.#world.clock.after(this.deadlineMs, () => this.accused(this.#check.silentAuthors()));
    await this.#check.collect(this.#abort.signal);
    late.cancel();
    if (this.#isOver) return;
    this.checking = true;
    try {
      if (await this.#check.holds(sums)) await this.#hold(sums);
      else await this.#blame(sums);
    } finally {
      this.checking = false;
    }
    if (this.#accused.length > 0) await this.#fail();
  }

  /** The sum is not that of the rows that were committed to: says whose fault it is. */
  async #blame(sums: Sums): Promise<void> {
    if (this.#member === undefined) return;
    const { run, own } = this.#member;
    const { journal, identity } = this.#world;
    journal.log('warn', 'epoch', 'a sum is not that of the rows that were committed to', this.#facts);
    const found = await this.#check.blame(run, own, sums, this.#abort.signal);
    if (this.#isOver) return;
    journal.log('warn', 'epoch', 'a wrong sum was looked into', { ...this.#facts, ...found });
    if (found === undefined) return;
    const [from, reason] = 'culprit' in found ? [found.culprit, found.why] : [found.silent, 'opens nothing'];
    if ('culprit' in found) {
      this.#culprits.add(from);
      this.#input.witness.say(this.id, { culprits: [...this.#culprits].sort() });
    }
    this.#accused.push({ phase: 'allGather', from, to: identity.fingerprint, chunk: 0, reason });
  }

  async #hold(sums: Sums): Promise<void> {
    const digest = await digestOf(this.#world.clock, sums);
    if (this.#isOver || this.held !== undefined) return;
    this.held = { sums, digest, atMs: this.#world.clock.nowMs() };
    this.#input.witness.say(this.id, { done: digest });
    this.#input.changed();
  }

  async #adopt(holder: Fingerprint): Promise<void> {
    const { signal } = this.#abort;
    const sums = await pullSums(this.#world, holder, this.id, this.#shape, signal);
    if (this.#isOver) return;
    if (sums !== undefined) await this.#check.collect(signal);
    if (this.#isOver) return;
    if (sums !== undefined && (await this.#check.holds(sums))) return this.#hold(sums);
    this.#liars.add(holder);
  }

  get #isOver(): boolean {
    return this.#abort.signal.aborted;
  }

  get #facts() {
    return { epoch: this.attempt.epoch, attempt: this.attempt.number };
  }
}

/** Each link once. */
function addTo(edges: AccusedEdge[], more: readonly AccusedEdge[]): void {
  for (const edge of more) if (!edges.some(({ from, to }) => from === edge.from && to === edge.to)) edges.push(edge);
}
