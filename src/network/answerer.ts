import { asStarlingError, type PeerId, StarlingError } from '../spec/index.ts';
import { encode } from '../wire/cbor.ts';
import type { BufferPool } from './bufferPool.ts';
import { type Frame, FrameReader, piecesOf } from './frames.ts';
import { FrameWriter } from './frameWriter.ts';
import type { Holdings } from './holdings.ts';
import { STREAM } from './limits.ts';
import type { Pace } from './pace.ts';
import type { Stream } from './types.ts';
import type { Uplink } from './uplink.ts';

/** `undefined` answers nothing, which is right for a notification and a refusal for a request. */
export type Handler = (from: PeerId, payload: Uint8Array) => Promise<Uint8Array | undefined>;

export interface AnswererInit {
  readonly peer: PeerId;
  readonly handler: Handler;
  readonly pace: Pace;
  readonly holdings: Holdings;
  readonly uplink: Uplink | undefined;
  readonly onViolation: (error: StarlingError) => void;
  /** Where the memory of requests is lent from, if their handler gives it back. */
  readonly pool?: BufferPool | undefined;
}

/**
 * The answering end of a kept stream. A few requests are answered at once, each holding its place until its
 * answer has left; beyond a bounded backlog the stream is not read, so a greedy peer waits for itself.
 */
export class Answerer {
  readonly #stream: Stream;
  readonly #init: AnswererInit;
  readonly #writer: FrameWriter;
  readonly #reader: FrameReader;
  readonly #backlog: Frame[] = [];
  #backlogBytes = 0;
  #active = 0;
  #ended = false;
  readonly #look = (): void => this.#advance();

  constructor(stream: Stream, init: AnswererInit) {
    this.#stream = stream;
    this.#init = init;
    const { pool } = init;
    this.#reader = new FrameReader(STREAM.maxFrameBytes, pool && ((length) => pool.take(length)));
    this.#writer = new FrameWriter(stream, init.uplink);
    stream.addEventListener('message', (event) => this.#onBytes(piecesOf(event.data)));
    stream.addEventListener('end', () => {
      this.#ended = true;
      this.#advance();
    });
    stream.addEventListener('close', () => init.holdings.forget(this.#look));
  }

  get peer(): PeerId {
    return this.#init.peer;
  }

  close(reason: Error): void {
    this.#forgetBacklog();
    this.#stream.abort(reason);
  }

  #onBytes(pieces: Iterable<Uint8Array>): void {
    try {
      for (const bytes of pieces) for (const frame of this.#reader.push(bytes)) this.#onFrame(frame);
      this.#advance();
    } catch (error) {
      const violation = error as StarlingError;
      this.#init.onViolation(violation);
      this.close(violation);
    }
  }

  #onFrame(frame: Frame): void {
    if (frame.kind !== 'request' && frame.kind !== 'notify')
      throw new StarlingError('PROTOCOL_VIOLATION', `a ${frame.kind} without a request`, { peer: this.#init.peer, field: 'frame kind' });
    this.#backlog.push(frame);
    this.#backlogBytes += frame.payload.byteLength;
    this.#init.holdings.take(this.#init.peer, frame.payload.byteLength);
  }

  #advance(): void {
    const { holdings, peer } = this.#init;
    // One is always answered: what is held goes no other way.
    while (this.#active < (holdings.isFull(peer) ? 1 : STREAM.activeRequests)) {
      const frame = this.#backlog.shift();
      if (frame === undefined) break;
      this.#backlogBytes -= frame.payload.byteLength;
      this.#active += 1;
      void this.#answer(frame).finally(() => {
        this.#active -= 1;
        this.#advance();
      });
    }
    if (this.#stream.status !== 'open') return;
    if (holdings.isFull(peer)) holdings.whenRoom(this.#look);
    const isFull = this.#backlogBytes > STREAM.backlogBytes || this.#backlog.length > STREAM.maxOutstanding || holdings.isFull(peer);
    if (isFull && this.#stream.readStatus === 'readable') this.#stream.pause();
    if (!isFull && this.#stream.readStatus === 'paused') this.#stream.resume();
    if (this.#ended && this.#active === 0 && this.#backlog.length === 0 && this.#stream.status === 'open')
      this.#stream.close().catch((error: Error) => this.#stream.abort(error));
  }

  #forgetBacklog(): void {
    const { holdings, peer } = this.#init;
    const bytes = this.#backlogBytes;
    this.#backlog.length = 0;
    this.#backlogBytes = 0;
    holdings.forget(this.#look);
    holdings.give(peer, bytes);
  }

  async #answer(frame: Frame): Promise<void> {
    const { holdings, peer, pool } = this.#init;
    try {
      await this.#answerHeld(frame);
    } finally {
      holdings.give(peer, frame.payload.byteLength);
      pool?.give(frame.payload);
    }
  }

  async #answerHeld(frame: Frame): Promise<void> {
    const { holdings, peer, handler, pace } = this.#init;
    await pace.request(peer, frame.payload.byteLength);
    let kind: Frame['kind'] = 'response';
    let payload: Uint8Array;
    try {
      payload = (await handler(peer, frame.payload)) ?? refuseSilence();
    } catch (error) {
      kind = 'error';
      payload = encodeRefusal(error);
    }
    if (frame.kind === 'notify') return;
    holdings.take(peer, payload.byteLength);
    await pace.bytes(peer, payload.byteLength);
    await this.#writer.write({ kind, id: frame.id, payload }).catch(() => undefined); // the peer left: nobody to tell
    holdings.give(peer, payload.byteLength);
  }
}

/** Characters of a message that travel: a code says more than a long text. */
const MESSAGE_LENGTH = 400;

function encodeRefusal(error: unknown): Uint8Array {
  const { code, message } = asStarlingError(error);
  return encode({ code, message: message.slice(0, MESSAGE_LENGTH) });
}

function refuseSilence(): never {
  throw new StarlingError('PEER_REFUSED', 'this message has no answer', { fix: 'send it as a notification' });
}
