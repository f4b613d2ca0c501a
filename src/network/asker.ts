import { ERROR_CODES, type ErrorCode, type PeerId, StarlingError } from '../spec/index.ts';
import { decode } from '../wire/cbor.ts';
import { type Frame, FrameReader, piecesOf } from './frames.ts';
import { FrameWriter } from './frameWriter.ts';
import { STREAM } from './limits.ts';
import type { Stream } from './types.ts';
import type { Uplink } from './uplink.ts';

export interface AskOptions {
  /** Bytes. A larger answer ends the stream. */
  readonly maxResponseBytes: number;
  /** Its reason is what the request rejects with. */
  readonly signal: AbortSignal;
  readonly onSent?: () => void;
}

export interface AskerInit {
  readonly peer: PeerId;
  readonly uplink: Uplink | undefined;
  readonly onViolation: (error: StarlingError) => void;
}

interface Pending {
  readonly maxResponseBytes: number;
  readonly resolve: (payload: Uint8Array) => void;
  readonly reject: (error: Error) => void;
}

/** The asking end of a kept stream: several requests may be outstanding, answers come in any order. */
export class Asker {
  readonly #stream: Stream;
  readonly #peer: PeerId;
  readonly #writer: FrameWriter;
  readonly #reader = new FrameReader(STREAM.maxFrameBytes);
  readonly #pending = new Map<number, Pending>();
  readonly #onViolation: (error: StarlingError) => void;
  #lastId = 0;
  /** Of requests that were sent and not answered. */
  #unansweredBytes = 0;
  /** Requests that wait for those before them to be answered, oldest first; some may have been given up. */
  readonly #held: (() => void)[] = [];

  constructor(stream: Stream, { peer, uplink, onViolation }: AskerInit) {
    this.#stream = stream;
    this.#peer = peer;
    this.#onViolation = onViolation;
    this.#writer = new FrameWriter(stream, uplink);
    stream.addEventListener('message', (event) => this.#onBytes(piecesOf(event.data)));
    stream.addEventListener('end', () => this.close(this.#lost('the peer closed the stream')));
    stream.addEventListener('close', () => this.#fail(this.#lost('the connection was lost')));
  }

  get isOpen(): boolean {
    return this.#stream.status === 'open';
  }

  request(payload: Uint8Array, options: AskOptions): Promise<Uint8Array> {
    if (this.#pending.size >= STREAM.maxOutstanding)
      return Promise.reject(
        new StarlingError('PEER_REFUSED', `${STREAM.maxOutstanding} requests to ${this.#peer} are outstanding`, {
          peer: this.#peer,
          phase: 'queue',
          fix: 'wait for answers before asking more',
        }),
      );
    const { signal } = options;
    const id = this.#nextId();
    return new Promise((resolve, reject) => {
      let sentBytes = 0;
      const settle = (): void => {
        this.#pending.delete(id);
        this.#unansweredBytes -= sentBytes;
        this.#sendHeld();
        signal.removeEventListener('abort', onAbort);
      };
      const fail = (error: Error): void => {
        settle();
        reject(error);
      };
      const onAbort = (): void => fail(signal.reason as Error);
      signal.addEventListener('abort', onAbort);
      this.#pending.set(id, {
        maxResponseBytes: options.maxResponseBytes,
        resolve: (answer) => {
          settle();
          resolve(answer);
        },
        reject: fail,
      });
      this.#held.push(() => {
        if (!this.#pending.has(id)) return;
        sentBytes = payload.byteLength;
        this.#unansweredBytes += sentBytes;
        this.#writer.write({ kind: 'request', id, payload }).then(options.onSent, () => fail(this.#lost('the stream closed')));
      });
      this.#sendHeld();
    });
  }

  /** A request given up on leaves the count although its peer may still hold it: a peer that answers nothing is asked again. */
  #sendHeld(): void {
    while (this.#unansweredBytes < STREAM.unansweredBytes) {
      const send = this.#held.shift();
      if (send === undefined) return;
      send();
    }
  }

  /** Returns how many older notifications were dropped. */
  notify(payload: Uint8Array): number {
    return this.#writer.post({ kind: 'notify', id: 0, payload });
  }

  close(reason: Error): void {
    this.#fail(reason);
    this.#stream.abort(reason);
  }

  #nextId(): number {
    this.#lastId = (this.#lastId % 0xffff_ffff) + 1;
    return this.#lastId;
  }

  #onBytes(pieces: Iterable<Uint8Array>): void {
    try {
      for (const bytes of pieces) for (const frame of this.#reader.push(bytes)) this.#onFrame(frame);
    } catch (error) {
      const violation = error as StarlingError;
      this.#onViolation(violation);
      this.close(violation);
    }
  }

  #onFrame(frame: Frame): void {
    if (frame.kind !== 'response' && frame.kind !== 'error')
      throw new StarlingError('PROTOCOL_VIOLATION', `a ${frame.kind} where an answer is due`, { peer: this.#peer, field: 'frame kind' });
    const pending = this.#pending.get(frame.id);
    if (pending === undefined) return; // given up on, or aborted by its caller
    if (frame.kind === 'error') {
      pending.reject(this.#refusal(frame.payload));
      return;
    }
    if (frame.payload.byteLength > pending.maxResponseBytes)
      throw new StarlingError(
        'PROTOCOL_VIOLATION',
        `answer of ${frame.payload.byteLength} bytes, at most ${pending.maxResponseBytes} were asked for`,
        {
          peer: this.#peer,
          phase: 'answer',
        },
      );
    pending.resolve(frame.payload);
  }

  #refusal(payload: Uint8Array): StarlingError {
    const { code, message } = decodeRefusal(payload);
    return new StarlingError('PEER_REFUSED', `${this.#peer} refused: ${message}`, { peer: this.#peer, reason: code });
  }

  #lost(why: string): StarlingError {
    return new StarlingError('UNREACHABLE', `${this.#peer}: ${why}`, { peer: this.#peer, phase: 'answer' });
  }

  #fail(error: Error): void {
    for (const pending of [...this.#pending.values()]) pending.reject(error);
  }
}

/** Bytes. An error frame carries a code and a short text. */
const REFUSAL_MAX_BYTES = 2_048;

function decodeRefusal(payload: Uint8Array): { code: ErrorCode; message: string } {
  const { code, message } = decode(payload, 'error frame', REFUSAL_MAX_BYTES) as { code?: unknown; message?: unknown };
  const known = ERROR_CODES.find((one) => one === code);
  if (known === undefined || typeof message !== 'string')
    throw new StarlingError('PROTOCOL_VIOLATION', 'an error frame without code and message', { field: 'error frame' });
  return { code: known, message };
}
