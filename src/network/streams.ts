import { peerIdFromString } from '@libp2p/peer-id';
import { type Journal, LENT_PROTOCOL, type RequestOptions, STREAM_PROTOCOLS, type StreamProtocol, type Streams } from '../epoch/ports.ts';
import { FRAME_MAX_BYTES, type PeerId, StarlingError, type SwarmId } from '../spec/index.ts';
import { streamProtocol } from '../wire/topics.ts';
import { Answerer, type Handler } from './answerer.ts';
import { Asker } from './asker.ts';
import { BufferPool } from './bufferPool.ts';
import { Holdings } from './holdings.ts';
import { STREAM } from './limits.ts';
import { Pace } from './pace.ts';
import type { PeerListener, PeerTable } from './peerTable.ts';
import type { Connection, Node, Stream } from './types.ts';
import type { Uplink } from './uplink.ts';

export interface StreamsComponents {
  readonly node: Node;
  readonly peers: PeerTable;
  readonly journal: Journal;
  /** What bounds this node's sending, if anything does. */
  readonly uplink?: Uplink | undefined;
}

interface KeptStream {
  readonly opening: Promise<Asker>;
  /** Once it is open. */
  asker: Asker | undefined;
}

/** The port `Streams`: one stream that this node opened is kept a peer and protocol, and re-opened when it fails. */
export class LibpStreams implements Streams {
  readonly #swarmId: SwarmId;
  readonly #parts: StreamsComponents;
  readonly #pace = new Pace(STREAM);
  readonly #holdings = new Holdings(STREAM);
  readonly #pool = new BufferPool();
  readonly #handlers = new Map<StreamProtocol, Handler>();
  /** By protocol and peer. */
  readonly #askers = new Map<string, KeptStream>();
  readonly #answerers = new Set<Answerer>();
  readonly #stopped = new AbortController();

  constructor(swarmId: SwarmId, parts: StreamsComponents) {
    this.#swarmId = swarmId;
    this.#parts = parts;
  }

  /** MUST run before the node starts, so that its first identify already names the swarm's protocols. */
  async start(): Promise<void> {
    for (const name of STREAM_PROTOCOLS)
      await this.#parts.node.handle(streamProtocol(this.#swarmId, name), (stream, connection) => this.#accept(name, stream, connection), {
        maxInboundStreams: STREAM.maxInboundStreams,
      });
  }

  stop(): void {
    const reason = new StarlingError('UNREACHABLE', 'this node stops', { phase: 'stop' });
    this.#stopped.abort(reason);
    for (const answerer of this.#answerers) answerer.close(reason);
    for (const { asker } of this.#askers.values()) asker?.close(reason);
  }

  peers(): readonly PeerId[] {
    return this.#parts.peers.peers();
  }

  onPeer(listener: PeerListener): void {
    this.#parts.peers.onPeer(listener);
  }

  handle(protocol: StreamProtocol, handler: Handler): void {
    this.#handlers.set(protocol, handler);
  }

  async request(peer: PeerId, protocol: StreamProtocol, payload: Uint8Array, options: RequestOptions): Promise<Uint8Array> {
    requireFrame(peer, protocol, payload);
    const abort = new AbortController();
    let step = 'open';
    const fail = (code: 'PEER_TIMEOUT' | 'UNREACHABLE', what: string, fix: string): void =>
      abort.abort(new StarlingError(code, `${peer} ${what} (${protocol}, ${step})`, { peer, phase: `${protocol}/${step}`, fix }));
    const timer = setTimeout(
      () =>
        fail(
          'PEER_TIMEOUT',
          `did not answer within ${options.timeoutMs} ms`,
          'ask another peer, or check the load and the network of this one',
        ),
      options.timeoutMs,
    );
    const onCancel = (): void => abort.abort(options.signal?.reason);
    const onStop = (): void => fail('UNREACHABLE', 'is not asked: this node stops', 'start the daemon again');
    if (options.signal?.aborted === true) onCancel();
    if (this.#stopped.signal.aborted) onStop();
    options.signal?.addEventListener('abort', onCancel);
    this.#stopped.signal.addEventListener('abort', onStop);
    try {
      const asker = await unlessAborted(this.#asker(peer, protocol), abort.signal);
      step = 'send';
      return await asker.request(payload, {
        maxResponseBytes: Math.min(options.maxResponseBytes, FRAME_MAX_BYTES),
        signal: abort.signal,
        onSent: () => {
          step = 'answer';
        },
      });
    } finally {
      clearTimeout(timer);
      options.signal?.removeEventListener('abort', onCancel);
      this.#stopped.signal.removeEventListener('abort', onStop);
    }
  }

  notify(peer: PeerId, protocol: StreamProtocol, payload: Uint8Array): void {
    requireFrame(peer, protocol, payload);
    if (this.#stopped.signal.aborted || !this.#parts.peers.has(peer)) return;
    this.#asker(peer, protocol).then(
      (asker) => {
        const dropped = asker.notify(payload);
        if (dropped > 0) this.#parts.journal.count('network_notifications_dropped', dropped, { protocol });
      },
      () => this.#parts.journal.count('network_notifications_dropped', 1, { protocol }),
    );
  }

  /** The kept stream, or a new one. Callers that come while it opens share the promise, which keeps their order. */
  #asker(peer: PeerId, protocol: StreamProtocol): Promise<Asker> {
    const key = `${protocol} ${peer}`;
    const held = this.#askers.get(key);
    if (held !== undefined && held.asker?.isOpen !== false) return held.opening;
    const kept: KeptStream = { opening: this.#open(peer, protocol), asker: undefined };
    this.#askers.set(key, kept);
    kept.opening.then(
      (asker) => {
        kept.asker = asker;
      },
      () => {
        if (this.#askers.get(key) === kept) this.#askers.delete(key);
      },
    );
    return kept.opening;
  }

  async #open(peer: PeerId, protocol: StreamProtocol): Promise<Asker> {
    const signal = AbortSignal.any([this.#stopped.signal, AbortSignal.timeout(STREAM.openMs)]);
    let step = 'dial';
    try {
      const connection = await this.#connection(peer, signal);
      step = 'open';
      const stream = await connection.newStream(streamProtocol(this.#swarmId, protocol), { signal });
      const onViolation = (violation: StarlingError): void => this.#violated(peer, protocol, violation);
      return new Asker(stream, { peer, uplink: this.#parts.uplink, onViolation });
    } catch (cause) {
      const { name, message } = cause as Error;
      const isForeign = name === 'UnsupportedProtocolError';
      throw new StarlingError(
        isForeign ? 'PEER_REFUSED' : 'UNREACHABLE',
        isForeign ? `${peer} does not speak ${protocol} of this swarm` : `${peer} is unreachable: ${message}`,
        {
          peer,
          phase: `${protocol}/${step}`,
          fix: isForeign ? 'check its version and swarm' : 'ask another peer; this one is dialled again by itself',
        },
        { cause },
      );
    }
  }

  /** The newest connection: when a peer was killed and came back, the older one is dead and does not know. */
  async #connection(peer: PeerId, signal: AbortSignal): Promise<Connection> {
    const id = peerIdFromString(peer);
    const open = this.#parts.node.getConnections(id).filter((one) => one.status === 'open');
    const newest = open.sort((a, b) => b.timeline.open - a.timeline.open)[0];
    return newest ?? (await this.#parts.node.dial(id, { signal }));
  }

  #accept(protocol: StreamProtocol, stream: Stream, connection: Connection): void {
    const peer = connection.remotePeer.toString();
    const open = [...this.#answerers].filter((one) => one.peer === peer).length;
    if (open >= STREAM.peerStreams) {
      const tooMany = new StarlingError('PROTOCOL_VIOLATION', `more than ${STREAM.peerStreams} streams of one peer`, { peer });
      this.#violated(peer, protocol, tooMany);
      stream.abort(tooMany);
      return;
    }
    const answerer = new Answerer(stream, {
      peer,
      pace: this.#pace,
      holdings: this.#holdings,
      uplink: this.#parts.uplink,
      handler: (from, payload) => this.#answer(protocol, from, payload),
      onViolation: (violation) => this.#violated(peer, protocol, violation),
      pool: protocol === LENT_PROTOCOL ? this.#pool : undefined,
    });
    this.#answerers.add(answerer);
    stream.addEventListener('close', () => this.#answerers.delete(answerer));
  }

  async #answer(protocol: StreamProtocol, from: PeerId, payload: Uint8Array): Promise<Uint8Array | undefined> {
    const handler = this.#stopped.signal.aborted ? undefined : this.#handlers.get(protocol);
    if (handler === undefined) throw new StarlingError('NOT_READY', `${protocol} is not served yet`, { fix: 'try again shortly' });
    return await handler(from, payload);
  }

  #violated(peer: PeerId, protocol: StreamProtocol, violation: StarlingError): void {
    this.#parts.journal.count('network_violations', 1, { protocol });
    this.#parts.journal.log('warn', 'network', `${peer} broke the protocol ${protocol}: ${violation.message}; its stream was closed`, {
      peer,
      phase: protocol,
      code: violation.code,
    });
  }
}

function requireFrame(peer: PeerId, protocol: StreamProtocol, payload: Uint8Array): void {
  if (payload.byteLength > FRAME_MAX_BYTES)
    throw new StarlingError('TOO_LARGE', `a message of ${payload.byteLength} bytes to ${peer}, at most ${FRAME_MAX_BYTES} fit a frame`, {
      peer,
      phase: `${protocol}/send`,
      fix: 'send it in chunks',
    });
}

function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason as Error);
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
