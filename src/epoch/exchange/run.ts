/** One attempt as one of its members: chunks out and in, each answered when it is stored, and edges over which nothing comes. */
import { type Adder, chunkRange, type ExchangeCommand, type Transfer } from '../../aggregation/schedule/index.ts';
import { sha256, sis, toHex, verifyEd25519 } from '../../crypto/index.ts';
import { asStarlingError, type ErrorCode, type Fingerprint, type Hex } from '../../spec/index.ts';
import {
  type AccusedEdge,
  type AverageMessage,
  ChunkRoom,
  chunkBytes,
  decodeAnswer,
  encodeAverage,
  type OpeningKind,
} from '../../wire/index.ts';
import { encodeReceipt, Lane } from './lane.ts';
import type { Layout } from './plans.ts';
import { encodeWrong, type WrongChunk } from './proof.ts';
import type { Work, WorkListener } from './work.ts';
import { type ExchangeWorld, type OwnRow, pause, turn } from './world.ts';

export type RunWorld = Pick<ExchangeWorld, 'clock' | 'journal' | 'identity' | 'keyOf' | 'peerOf'> & {
  readonly compute: Adder;
  readonly streams: Pick<ExchangeWorld['streams'], 'request'>;
};

export interface RunInput {
  /** Id of the attempt. */
  readonly id: Hex;
  readonly layout: Layout;
  readonly own: OwnRow;
  /** Ms that a chunk is waited for. */
  readonly deadlineMs: () => number;
  /** A chunk was awaited for that long. */
  readonly needed: (ms: number) => void;
}

type Chunk = Extract<AverageMessage, { kind: 'chunk' }>;

/** Ms until a chunk is sent again that was not taken. */
const RESEND_MS = 100;
/** Looks at the clock in a deadline, at most so far apart. */
const TICKS = 16;
const TICK_MAX_MS = 250;

export class Run implements Work {
  readonly id: Hex;
  readonly layout: Layout;
  readonly lanes: readonly Lane[];
  /** The first signed chunk that no honest member sends. */
  wrong: WrongChunk | undefined;
  readonly #world: RunWorld;
  readonly #deadlineMs: () => number;
  readonly #needed: (ms: number) => void;
  readonly #listener: WorkListener;
  readonly #abort = new AbortController();
  readonly #started: Promise<void>;
  /** Where chunks are written that go out next: as many as were on their way at once. */
  readonly #rooms: ChunkRoom[] = [];
  #exchanged = false;

  constructor(world: RunWorld, { id, layout, own, deadlineMs, needed }: RunInput, listener: WorkListener) {
    this.#world = world;
    this.#deadlineMs = deadlineMs;
    this.#needed = needed;
    this.#listener = listener;
    this.id = id;
    this.layout = layout;
    const rank = layout.order.indexOf(world.identity.fingerprint);
    const small = (layout.weights[rank] as number) / layout.unit;
    const rows = [sis.rhoRow(own.rho), own.values];
    this.lanes = layout.lanes.map(({ planOf }, i) => {
      const row = rows[i] as Int16Array;
      return new Lane({
        compute: world.compute,
        plan: planOf(rank),
        order: layout.order,
        row,
        weight: small,
        unit: layout.unit,
        deadlineMs,
      });
    });
    this.#started = this.#start();
  }

  get #nowMs(): number {
    return this.#world.clock.nowMs();
  }

  get order(): readonly Fingerprint[] {
    return this.layout.order;
  }

  get isSent(): boolean {
    return this.lanes.every(({ machine }) => machine.isDone);
  }

  /** That comes when all is there, and is the check's to do. */
  get isComparing(): boolean {
    return false;
  }

  get isOver(): boolean {
    return this.#abort.signal.aborted;
  }

  /** Nothing more is sent or taken in. */
  stop(): void {
    this.#abort.abort(new Error('the attempt is over'));
  }

  letGo(): void {
    for (const lane of this.lanes) lane.letGo();
  }

  /** Half of the largest chunk on any link: what a link must carry there and back in half a deadline. */
  get probeBytes(): number {
    const sizes = this.lanes.flatMap(({ plan }) =>
      [...plan.sends, ...plan.receives].map((transfer) => {
        const { start, end } = chunkRange(transfer, 0);
        return (end - start) * transfer.encoding.width;
      }),
    );
    return Math.ceil(Math.max(0, ...sizes) / 2);
  }

  /** What its process before this one had received is gone, and those who sent it do not know. None where it has no link. */
  restarted(): AccusedEdge[] {
    return this.lanes
      .slice(0, 1)
      .flatMap((lane) =>
        lane.plan.sends
          .slice(0, 1)
          .map(({ phase, from, to }) => ({ phase, from: lane.nodeOf(from), to: lane.nodeOf(to), chunk: 0, reason: 'restarted' })),
      );
  }

  /** Links over which nothing came for this share of a deadline. */
  overdue(share: number): AccusedEdge[] {
    return this.lanes.flatMap((lane) => lane.machine.overdue(this.#nowMs, share * this.#deadlineMs()).map((edge) => lane.named(edge)));
  }

  /** False: it is not what its sender may send, or it cannot be read. True once it is stored. */
  async receive(from: Fingerprint, message: Chunk): Promise<boolean> {
    await this.#started;
    const { step, chunk, bytes, signature } = message;
    const lane = this.lanes[message.lane] as Lane;
    const transfer = lane.due(from, step);
    const hash = toHex(sha256(bytes));
    const before = lane.receipt(transfer, chunk);
    if (before?.hash === hash) return true;
    const to = this.#world.identity.fingerprint;
    const key = this.#world.keyOf(from);
    const signed = chunkBytes({ attempt: this.id, lane: message.lane, step, from, to, chunk, hash });
    if (key === undefined || !verifyEd25519(signed, signature, key)) return this.#refuse(lane, transfer, chunk, 'BAD_SIGNATURE');
    if (before !== undefined) return this.#refuse(lane, transfer, chunk, 'EQUIVOCATION');
    if (this.isOver) return true;
    for (const command of lane.machine.received(transfer.from, step, chunk, this.#nowMs)) {
      if (command.kind !== 'store') continue;
      try {
        lane.accumulator.store(transfer, chunk, bytes);
      } catch (error) {
        const from = transfer.from;
        this.wrong ??= { lane: message.lane, step, from, chunk, bytes: bytes.slice(), signature: signature.slice() };
        return this.#refuse(lane, transfer, chunk, asStarlingError(error).code);
      }
      // Not the chunk's own memory, which ends with this request.
      lane.keep(transfer, chunk, { hash, signature: signature.slice() });
      if (command.neededMs !== undefined) this.#needed(command.neededMs);
      this.#obey(lane, lane.machine.stored(transfer, chunk, this.#nowMs));
    }
    return true;
  }

  async open(
    _from: Fingerprint,
    what: OpeningKind,
    [lane = 0, step = 0, from = 0, chunk = 0]: readonly number[],
  ): Promise<Uint8Array | undefined> {
    if (what === 'wrong') return this.wrong === undefined ? undefined : encodeWrong(this.wrong);
    const receipt = what === 'sent' ? this.lanes[lane]?.receipt({ step, from }, chunk) : undefined;
    return receipt === undefined ? undefined : encodeReceipt(receipt);
  }

  /** A member says why nothing comes from it. */
  excused(from: Fingerprint, lane: number): void {
    const { machine } = this.lanes[lane] as Lane;
    machine.excused(this.layout.order.indexOf(from), this.#nowMs);
  }

  async #start(): Promise<void> {
    // The first turn lets whoever made this know it.
    await turn(this.#world.clock);
    if (this.isOver) return;
    for (const lane of this.lanes) this.#obey(lane, lane.machine.start(this.#nowMs));
    this.#checkComplete();
    void this.#tick();
  }

  async #tick(): Promise<void> {
    while (!this.isOver && this.lanes.some(({ machine }) => !machine.isDone)) {
      await pause(this.#world.clock, Math.min(TICK_MAX_MS, this.#deadlineMs() / TICKS));
      if (this.isOver) return;
      if (this.overdue(1 / 2).length > 0) this.#listener.late();
      for (const lane of this.lanes) this.#obey(lane, lane.machine.tick(this.#nowMs));
    }
  }

  #refuse(lane: Lane, transfer: Transfer, chunk: number, code: ErrorCode): false {
    this.#obey(lane, lane.machine.refused(transfer, chunk, code));
    return false;
  }

  #obey(lane: Lane, commands: readonly ExchangeCommand[]): void {
    if (this.isOver) return;
    const accused = commands.flatMap((command) => (command.kind === 'accuse' ? [lane.named(command.accusation)] : []));
    for (const command of commands) {
      if (command.kind === 'send') void this.#send(lane, command.transfer, command.chunk);
      else if (command.kind === 'waiting') void this.#excuse(lane, lane.nodeOf(command.to));
    }
    if (accused.length > 0) this.#listener.accused(accused);
    this.#checkComplete();
  }

  #checkComplete(): void {
    if (this.#exchanged || !this.lanes.every(({ machine }) => machine.isComplete)) return;
    this.#exchanged = true;
    void this.#finish();
  }

  async #finish(): Promise<void> {
    const { clock } = this.#world;
    const [rhoSum, sum] = [await (this.lanes[0] as Lane).finish(clock), await (this.lanes[1] as Lane).finish(clock)];
    if (!this.isOver) this.#listener.exchanged({ rhoSum, sum });
  }

  async #send(lane: Lane, transfer: Transfer, chunk: number): Promise<void> {
    await turn(this.#world.clock);
    if (this.isOver) return;
    const room = this.#rooms.pop() ?? new ChunkRoom();
    const message = this.#message(lane, transfer, chunk, room);
    const to = lane.nodeOf(transfer.to);
    for (let times = 1; !this.isOver; times++) {
      // Each chunk before it may take a deadline; who answers none of them is accused by then, whatever is asked of it.
      const answer = await this.#ask(to, message, lane.machine.window);
      if (answer === 'taken') {
        // One that was sent before may still wait in a stream that is stuck: its room stays as it is.
        if (times === 1) this.#rooms.push(room);
        return this.#obey(lane, lane.machine.acked(transfer.to, transfer.step, chunk, this.#nowMs));
      }
      // Whoever is past this attempt says in words why.
      if (answer === 'over' || answer === 'refused') return;
      await pause(this.#world.clock, RESEND_MS);
    }
  }

  #message(lane: Lane, transfer: Transfer, chunk: number, room: ChunkRoom): Uint8Array {
    const { start, end } = chunkRange(transfer, chunk);
    const length = (end - start) * transfer.encoding.width;
    const bytes = lane.accumulator.read(transfer, chunk, room.payload(length));
    const { step } = transfer;
    const body = {
      attempt: this.id,
      lane: this.lanes.indexOf(lane),
      step,
      from: this.#world.identity.fingerprint,
      to: lane.nodeOf(transfer.to),
      chunk,
      hash: toHex(sha256(bytes)),
    };
    const signature = this.#world.identity.signEd25519(chunkBytes(body));
    return room.seal({ attempt: this.id, lane: body.lane, step, chunk, signature }, length);
  }

  /** Undefined: no answer came. */
  async #ask(to: Fingerprint, message: Uint8Array, deadlines = 1): Promise<'taken' | 'later' | 'over' | 'refused' | undefined> {
    const peer = this.#world.peerOf(to);
    if (peer === undefined) return undefined;
    const options = { timeoutMs: deadlines * this.#deadlineMs(), maxResponseBytes: 64, signal: this.#abort.signal };
    try {
      return decodeAnswer(await this.#world.streams.request(peer, 'average', message, options)).kind;
    } catch {
      return undefined;
    }
  }

  async #excuse(lane: Lane, to: Fingerprint): Promise<void> {
    await this.#ask(to, encodeAverage({ kind: 'waiting', attempt: this.id, lane: this.lanes.indexOf(lane) }));
  }
}
