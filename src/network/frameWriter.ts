import { pEvent } from 'p-event';
import { StarlingError } from '../spec/index.ts';
import { encodeFrame, type Frame, frameBytes } from './frames.ts';
import { STREAM } from './limits.ts';
import type { Stream } from './types.ts';
import type { Uplink } from './uplink.ts';

interface Waiting {
  readonly frame: Frame;
  readonly droppable: boolean;
  readonly done: () => void;
  readonly failed: (error: Error) => void;
}

/**
 * Writes frames to one stream with back-pressure: the stream holds at most one frame that the peer has not
 * taken, what waits is here and bounded. (`onDrain()` of a stream works only once, hence the event.)
 */
export class FrameWriter {
  readonly #stream: Stream;
  readonly #uplink: Uplink | undefined;
  readonly #waiting: Waiting[] = [];
  #droppableFrames = 0;
  #droppableBytes = 0;
  #writing = false;

  /** @param uplink whose turns this writer waits for; none where nothing bounds what this node sends. */
  constructor(stream: Stream, uplink?: Uplink) {
    this.#stream = stream;
    this.#uplink = uplink;
    stream.addEventListener('close', () => this.#fail(closed(stream)));
  }

  /** Resolves when the stream has taken the frame; rejects when the stream closes first. Its payload MUST NOT change from here on. */
  write(frame: Frame): Promise<void> {
    return new Promise((resolve, reject) => this.#push({ frame, droppable: false, done: resolve, failed: reject }));
  }

  /** Queues a notification. Returns how many older ones were dropped to make room. */
  post(frame: Frame): number {
    const bytes = frameBytes(frame);
    let dropped = 0;
    while (
      this.#droppableFrames >= STREAM.notifyFrames ||
      (this.#droppableFrames > 0 && this.#droppableBytes + bytes > STREAM.notifyBytes)
    ) {
      const oldest = this.#waiting.findIndex((one) => one.droppable);
      this.#forget(this.#waiting.splice(oldest, 1)[0]);
      dropped += 1;
    }
    this.#droppableFrames += 1;
    this.#droppableBytes += bytes;
    this.#push({ frame, droppable: true, done: () => undefined, failed: () => undefined });
    return dropped;
  }

  #push(one: Waiting): void {
    if (this.#stream.writeStatus !== 'writable') {
      this.#forget(one);
      one.failed(closed(this.#stream));
      return;
    }
    this.#waiting.push(one);
    if (!this.#writing) void this.#pump();
  }

  async #pump(): Promise<void> {
    this.#writing = true;
    try {
      for (let one = this.#waiting.shift(); one !== undefined; one = this.#waiting.shift()) {
        this.#forget(one);
        try {
          const send = (): boolean => this.#send(one.frame);
          const isWritable = this.#uplink === undefined ? send() : await this.#uplink.turn(send);
          if (!isWritable) await pEvent(this.#stream, 'drain', { rejectionEvents: ['close'] });
          one.done();
        } catch {
          one.failed(closed(this.#stream));
        }
      }
    } finally {
      this.#writing = false;
    }
  }

  /** False: the stream wants no more until its `drain`. */
  #send(frame: Frame): boolean {
    let isWritable = true;
    for (const piece of encodeFrame(frame)) isWritable = this.#stream.send(piece);
    return isWritable;
  }

  #forget(one: Waiting | undefined): void {
    if (one?.droppable !== true) return;
    this.#droppableFrames -= 1;
    this.#droppableBytes -= frameBytes(one.frame);
  }

  #fail(error: Error): void {
    for (const one of this.#waiting.splice(0)) {
      this.#forget(one);
      one.failed(error);
    }
  }
}

const closed = (stream: Stream): StarlingError =>
  new StarlingError('UNREACHABLE', `the stream ${stream.protocol} closed (${stream.status})`, { phase: 'send' });
