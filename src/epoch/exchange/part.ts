/**
 * This node's part in one certified attempt: it exchanges chunks, checks the sum that comes of them and says that it holds it; or says what
 * failed, and takes the sum from one that holds it.
 */
import type { ChunkDeadline, LinkCost } from '../../aggregation/schedule/index.ts';
import type { Attempt, EntryId, ErrorCode, Fingerprint, Hex } from '../../spec/index.ts';
import { type AccusedEdge, type AverageMessage, attemptId, type OpeningKind } from '../../wire/index.ts';
import { open } from './ask.ts';
import { digestOf } from './check.ts';
import type { Commitments } from './commitments.ts';
import { type AuthorOf, rowsOf } from './findings.ts';
import type { Averaged } from './job.ts';
import { OwnOpenings } from './openings.ts';
import { layoutOf } from './plans.ts';
import { Probe } from './probe.ts';
import { culpritOf, encodeWrong } from './proof.ts';
import { RuleCheck } from './rule/check.ts';
import { ruleLayoutOf } from './rule/layout.ts';
import { RuleRun } from './rule/run.ts';
import { Run } from './run.ts';
import { type Check, SumCheck } from './sumCheck.ts';
import type { Witness } from './witness.ts';
import type { Sums, Work, WorkListener } from './work.ts';
import { type ExchangeWorld, guard, type OwnRow } from './world.ts';

/** Share of a deadline after which a link counts as failed once somebody else has accused one: others' excuses have come by then. */
const FAILED_SHARE = 3 / 4;
/** Ms between looks whether this node has found out itself who lied. */
const LOOK_MS = 100;
/** Why a link is accused over which something came that its sender signed and no honest member sends: its accuser can show it. */
const PROVABLE: readonly string[] = ['MALFORMED', 'BOUNDS_EXCEEDED'] satisfies ErrorCode[];

/** What anyone may ask for who lacks the sum. */
const SUM_OPENINGS: readonly OpeningKind[] = ['sum', 'ruled'];

export interface PartInput {
  readonly attempt: Attempt;
  readonly authorOf: AuthorOf;
  /** One for each id of the whole roster. */
  readonly weights: readonly number[];
  /** Of its links, as the rostered entries tell. */
  readonly cost: LinkCost | undefined;
  /** Scales of the base, one a tensor. */
  readonly exponents: readonly number[];
  readonly deadline: ChunkDeadline;
  readonly commitments: Commitments;
  readonly witness: Witness;
  /** Something that decides about the attempt has changed. */
  readonly changed: () => void;
}

export class Part implements WorkListener {
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
  readonly #check: Check;
  readonly #abort = new AbortController();
  readonly #accused: AccusedEdge[] = [];
  /** Of a member with a row. */
  #member: { readonly own: OwnRow; readonly opens: OwnOpenings; readonly work: Work; readonly probe: Probe } | undefined;
  #failing = false;
  /** When a member was first seen to have named another. */
  #namedMs: number | undefined;
  /** Whom it did not reach when it failed; undefined before. */
  #unreachable: readonly Fingerprint[] | undefined;
  #adopting = false;
  /** Whose sum was not what it announced. */
  readonly #liars = new Set<Fingerprint>();
  /** Who did not give all of a sum that it announced. */
  readonly #unhelpful = new Set<Fingerprint>();
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
    this.#check =
      world.genesis.aggregation === 'mean'
        ? new SumCheck(world, { attempt, id, rows, weights, commitments, deadlineMs: () => this.deadlineMs })
        : new RuleCheck(world, { attempt, id, rows, weights, authorOf, witness: input.witness });
  }

  /** Ms that a chunk is waited for; twice as long in each attempt, so that links which are slow or lossy for all get through. */
  get deadlineMs(): number {
    return Math.min(this.#world.genesis.epochDeadlineMs, this.#input.deadline.ms * 2 ** Math.min(this.attempt.number, 30));
  }

  /** Exchanges, where this node has a row in it: `own`, undefined where it is not kept. `restarted`: a process before this one may have begun. */
  begin(own: OwnRow | undefined, restarted: boolean): void {
    const { id, rows } = this;
    const { identity } = this.#world;
    if (!rows.has(identity.fingerprint)) return;
    if (own === undefined) {
      this.#input.witness.say(id, { culprits: [identity.fingerprint] });
      return;
    }
    const opens = new OwnOpenings(this.#world, own);
    const work = this.#workOn(own, opens);
    const others = work.order.filter((node) => node !== identity.fingerprint);
    const probe = new Probe(this.#world, id, others, work.probeBytes);
    this.#member = { own, opens, work, probe };
    void guard(this.#world, this.#check.collect(this.#abort.signal));
    const lost = restarted ? work.restarted() : [];
    if (lost.length > 0) this.accused(lost);
  }

  #workOn(own: OwnRow, opens: OwnOpenings): Work {
    const { id, attempt } = this;
    const { genesis, elements, identity } = this.#world;
    const { weights, cost, authorOf, deadline, exponents } = this.#input;
    const times = { deadlineMs: () => this.deadlineMs, needed: (ms: number) => deadline.needed(ms) };
    if (genesis.aggregation === 'mean') {
      const layout = layoutOf({ genesis, elements, attempt, weights, cost, authorOf });
      this.#begins(layout.schedule, layout.order.length, layout.why);
      return new Run(this.#world, { id, layout, own, ...times }, this);
    }
    const layout = ruleLayoutOf({ genesis, elements, attempt, weights, authorOf, self: identity.fingerprint });
    this.#begins('butterfly', layout.order.length, layout.why);
    return new RuleRun(this.#world, { layout, own, opens, exponents, ...times }, this);
  }

  #begins(schedule: string, members: number, why: string): void {
    this.#world.journal.log('info', 'epoch', 'an average begins', { ...this.#facts, schedule, members, why });
  }

  stop(): void {
    this.#abort.abort(new Error('the attempt is over'));
    this.#member?.work.stop();
    this.#member?.work.letGo();
  }

  /** A request of a member; false: it is not one that its sender may make. */
  async take(from: Fingerprint, message: Extract<AverageMessage, { kind: 'alarm' | 'waiting' | 'chunk' }>): Promise<boolean> {
    if (message.kind === 'alarm') {
      void this.#member?.probe.within(this.deadlineMs);
      return true;
    }
    if (this.#member === undefined || !this.rows.has(from)) return false;
    if (message.kind === 'chunk') return this.#member.work.receive(from, message);
    this.#member.work.excused(from, message.lane);
    return true;
  }

  /** What is asked of a sum that is made, or was refused: the sum by anyone, the rest by members. */
  async open(from: Fingerprint, what: OpeningKind, at: readonly number[]): Promise<Uint8Array | undefined> {
    if (SUM_OPENINGS.includes(what)) return this.held === undefined ? undefined : this.#check.show(this.held.sums, what, at);
    if (this.#member === undefined || !this.rows.has(from)) return undefined;
    const { opens, work } = this.#member;
    const [first = 0, second = 0] = at;
    if (what === 'part') return opens.part(first, second);
    if (what === 'rho') return opens.rho();
    if (what === 'row' && work instanceof Run) return opens.row(first);
    return work.open(from, what, at);
  }

  late(): void {
    this.#member?.probe.alarm(this.deadlineMs);
  }

  accused(edges: readonly AccusedEdge[]): void {
    addTo(this.#accused, edges);
    void this.#fail();
  }

  lied(culprit: Fingerprint, why: string): void {
    if (this.#culprits.has(culprit)) return;
    this.#culprits.add(culprit);
    this.#tellOf(culprit, { why });
    this.#input.witness.say(this.id, { culprits: [...this.#culprits].sort() });
  }

  #tellOf(culprit: Fingerprint, facts: Readonly<Record<string, string>>): void {
    this.#world.journal.log('warn', 'epoch', 'a member was found to lie', { ...this.#facts, culprit, ...facts });
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
    const findings = this.#input.witness.findingsOf(this.id);
    const backed = this.holders().filter((node) => this.#check.mayHold(findings.find((finding) => finding.node === node)?.done));
    // Who did not give all of it is asked again after the others.
    const holder = backed.find((node) => !this.#unhelpful.has(node)) ?? backed[0];
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
    const isSent = this.#member?.work.isSent ?? true;
    return isSent && [...this.rows.keys()].every((node) => holders.has(node));
  }

  /** What is held. */
  averaged({ sums }: NonNullable<Part['held']>): Averaged {
    return this.#check.averaged(sums);
  }

  /** Says what failed here, once: edges of its own, and whom it does not reach. */
  async #fail(): Promise<void> {
    if (this.#failing || this.checking || this.#member === undefined) return;
    // Whoever looks for a liar speaks when it has found it, or has had the time to.
    if (this.#mayFind(this.#member.work)) {
      this.#world.clock.after(LOOK_MS, () => void this.#fail());
      return;
    }
    this.#failing = true;
    const { probe, work } = this.#member;
    const looked = work instanceof Run ? this.#lookAtProofs(work) : undefined;
    const [unreachable] = await Promise.all([probe.within(this.deadlineMs), looked]);
    if (this.#isOver) return;
    const accused = [...this.#accused];
    addTo(accused, work.overdue(FAILED_SHARE));
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
      this.#tellOf(culprit, { why: 'sent what nobody honest sends', shownBy: node });
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
      if (await this.#check.holds(sums, true)) await this.#hold(sums);
      else await this.#blame(sums);
    } finally {
      this.checking = false;
    }
    if (this.#accused.length > 0) await this.#fail();
  }

  /** The sum is not that of the rows that were committed to: says whose fault it is. */
  async #blame(sums: Sums): Promise<void> {
    if (this.#member === undefined) return;
    const { work, own } = this.#member;
    const { journal, identity } = this.#world;
    journal.log('warn', 'epoch', 'a sum is not that of the rows that were committed to', this.#facts);
    const found = await this.#check.blame(work, own, sums, this.#abort.signal);
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
    const sums = await this.#check.pull(holder, signal);
    if (this.#isOver) return;
    if (sums === undefined) {
      this.#unhelpful.add(holder);
      return;
    }
    await this.#check.collect(signal);
    if (this.#isOver) return;
    if (await this.#check.holds(sums, false)) return this.#hold(sums);
    this.#liars.add(holder);
  }

  /** Whether a member has named another, less than a deadline ago, and this one may still find out for itself. */
  #mayFind(work: Work): boolean {
    const { identity, clock } = this.#world;
    const isNamed = this.#input.witness
      .findingsOf(this.id)
      .some(({ node, culprits }) => node !== identity.fingerprint && this.rows.has(node) && culprits.length > 0);
    if (!isNamed || !work.isComparing || this.#isOver) return false;
    this.#namedMs ??= clock.nowMs();
    return clock.nowMs() - this.#namedMs < this.deadlineMs;
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
