/** Sums over streams, one epoch at a time. */
import { ChunkDeadline } from '../../aggregation/schedule/index.ts';
import { type Attempt, asStarlingError, type Hex, type PeerId } from '../../spec/index.ts';
import { decodeAverage, encodeAnswer } from '../../wire/index.ts';
import type { Averaged, AverageJob } from './job.ts';
import { Session } from './session.ts';
import { type ExchangeWorld, pause } from './world.ts';

/**
 * Ms that a chunk is waited for at the least. Members begin apart: the certificate reaches them one after the other, and on a machine
 * with ten processes a core reading and weighing a row takes a second. Giving up a healthy link costs more than this.
 */
const CHUNK_MIN_MS = 3_000;

/** Ms for which the session of an epoch that is over is kept for members that have not said that they hold the sum, and between looks. */
const REST_MS = 10_000;
const REST_TICK_MS = 100;

export class Exchanges {
  readonly #world: ExchangeWorld;
  /** Of all epochs: what chunks needed in one is what they need in the next. */
  readonly #deadline: ChunkDeadline;
  #session: Session | undefined;
  /** Of an epoch that is over, until its members need nothing more of it. */
  #resting: Session | undefined;
  /** The newest epoch whose session has gone. */
  #over: number | undefined;
  #stopped = false;

  constructor(world: ExchangeWorld) {
    this.#world = world;
    const { minDeadlineMs, epochDeadlineMs } = world.genesis;
    this.#deadline = new ChunkDeadline({ minMs: Math.max(minDeadlineMs, CHUNK_MIN_MS), maxMs: epochDeadlineMs });
    world.streams.handle('average', (from, payload) => this.#serve(from, payload));
  }

  /**
   * Sums a settled roster with all others that settled it: votes for attempts, takes part in those that are certified, and resolves
   * when as many voters hold the sum as certify an attempt. A node without a row in it signs, and takes the sum from the others.
   * Undefined: a newer base or `stop` ended it. The same promise for the same base; who is to sign may change meanwhile.
   */
  begin(job: AverageJob): Promise<Averaged | undefined> {
    const before = this.#session;
    if (before?.isOf(job) === true) before.change(job);
    else {
      before?.stop();
      this.#session = new Session(this.#world, this.#deadline, job);
      if (this.#stopped) this.#session.stop();
    }
    return (this.#session as Session).result.promise;
  }

  /**
   * The block of `epoch` is final here: its session, which holds a row and a sum, each as large as the model, goes once no member
   * needs anything more of it, or after a while. Whoever is later than that takes the sum, or the model, as other content.
   */
  async rest(epoch: number): Promise<void> {
    const session = this.#session;
    if (session === undefined || session.epoch > epoch || session === this.#resting) return;
    this.#resting = session;
    const { clock } = this.#world;
    const endMs = clock.nowMs() + REST_MS;
    while (session === this.#session && !session.isSpent && clock.nowMs() < endMs) await pause(clock, REST_TICK_MS);
    this.#resting = undefined;
    if (session !== this.#session) return;
    session.stop();
    this.#session = undefined;
    this.#over = session.epoch;
  }

  /** Whether q voters signed this attempt of the present epoch, as far as heard here. */
  isCertified(attemptId: Hex): boolean {
    return this.#session?.isCertified(attemptId) === true;
  }

  /** The attempt that runs now, or ran last. */
  get attempt(): Attempt | undefined {
    return this.#session?.attempt;
  }

  stop(): void {
    this.#stopped = true;
    this.#session?.stop();
  }

  async #serve(from: PeerId, payload: Uint8Array): Promise<Uint8Array> {
    const message = decodeAverage(payload);
    if (message.kind === 'probe') return encodeAnswer('taken', message.bytes);
    const session = this.#session;
    if (session === undefined) {
      const isOver = message.kind === 'words' && this.#over !== undefined && message.epoch <= this.#over;
      return encodeAnswer(isOver ? 'over' : 'later');
    }
    if (message.kind === 'words' && message.base !== session.base) return encodeAnswer(message.epoch < session.epoch ? 'over' : 'later');
    try {
      const { kind, bytes } = await session.serve(from, message);
      return encodeAnswer(kind, bytes);
    } catch (error) {
      const { code, message: problem } = asStarlingError(error);
      this.#world.journal.log('warn', 'epoch', 'a request about an average was refused', { peer: from, code, reason: problem });
      return encodeAnswer('refused');
    }
  }
}
