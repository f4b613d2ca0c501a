/** How far other members are, as this node's own requests tell. */
import { CHUNK_BYTES, KIB, LINK_EXPONENT_MAX, LINK_EXPONENT_MIN, MIB, type PeerId } from '../spec/index.ts';
import type { Clock, Streams } from './ports.ts';

/** Bytes there and back up to which a request takes a round trip (words about an attempt of hundreds among them), and from which on its bytes. */
const SMALL_BYTES = 16 * KIB;
const LARGE_BYTES = 64 * KIB;
/** Bytes of large requests on end from which on their time tells a rate: that the first of them waited for its receiver hardly counts then. */
const RATE_BYTES = MIB;
/** Ms. The best of the present stretch and the one before counts: a link that got worse is told of after ten minutes at the latest. */
const STRETCH_MS = 300_000;

/** The best of what was measured lately: whatever else a node did at the time makes a link look worse, nothing makes it look better. */
class Best {
  readonly #better: (a: number, b: number) => number;
  #sinceMs = Number.NEGATIVE_INFINITY;
  #now: number | undefined;
  #before: number | undefined;

  constructor(better: (a: number, b: number) => number) {
    this.#better = better;
  }

  add(value: number, nowMs: number): void {
    this.#turn(nowMs);
    this.#now = this.#better(value, this.#now ?? value);
  }

  at(nowMs: number): number | undefined {
    this.#turn(nowMs);
    return this.#now === undefined || this.#before === undefined ? (this.#now ?? this.#before) : this.#better(this.#now, this.#before);
  }

  #turn(nowMs: number): void {
    const passed = nowMs - this.#sinceMs;
    if (passed < STRETCH_MS) return;
    this.#before = passed < 2 * STRETCH_MS ? this.#now : undefined;
    this.#now = undefined;
    this.#sinceMs = nowMs;
  }
}

/** One peer's. */
class Link {
  /** Ms of a small request. */
  readonly trip = new Best(Math.min);
  /** Bytes a ms of large ones. */
  readonly rate = new Best(Math.max);
  /** Large requests that overlapped, up to now: when the first began and the last ended, and their bytes. */
  #busy = { fromMs: 0, toMs: Number.NEGATIVE_INFINITY, bytes: 0 };

  took(bytes: number, fromMs: number, nowMs: number): void {
    if (bytes <= SMALL_BYTES) this.trip.add(nowMs - fromMs, nowMs);
    if (bytes < LARGE_BYTES) return;
    const { toMs } = this.#busy;
    if (fromMs >= toMs) this.#busy = { fromMs, toMs: nowMs, bytes };
    else this.#busy = { fromMs: Math.min(this.#busy.fromMs, fromMs), toMs: nowMs, bytes: this.#busy.bytes + bytes };
    const ms = nowMs - this.#busy.fromMs;
    if (ms > 0 && this.#busy.bytes >= RATE_BYTES) this.rate.add(this.#busy.bytes / ms, nowMs);
  }
}

export class LinkMeter {
  readonly #clock: Pick<Clock, 'nowMs'>;
  readonly #links = new Map<PeerId, Link>();

  constructor(clock: Pick<Clock, 'nowMs'>) {
    this.#clock = clock;
  }

  /** The same streams, whose answered requests are timed. */
  over(streams: Streams): Streams {
    streams.onPeer((peer, connected) => {
      if (!connected) this.#links.delete(peer);
    });
    return {
      request: async (peer, protocol, payload, options) => {
        const fromMs = this.#clock.nowMs();
        const answer = await streams.request(peer, protocol, payload, options);
        const link = this.#links.get(peer) ?? new Link();
        this.#links.set(peer, link);
        link.took(payload.byteLength + answer.byteLength, fromMs, this.#clock.nowMs());
        return answer;
      },
      notify: (peer, protocol, payload) => streams.notify(peer, protocol, payload),
      handle: (protocol, handler) => streams.handle(protocol, handler),
      peers: () => streams.peers(),
      onPeer: (listener) => streams.onPeer(listener),
    };
  }

  /**
   * e for 2^e microseconds that a chunk takes there and back, LINK_EXPONENT_MIN to _MAX: the round trip, and its bytes twice at the rate
   * that was measured, or the median of all links' where little has gone over this one. 0 where there was no round trip.
   */
  exponent(peer: PeerId): number {
    const nowMs = this.#clock.nowMs();
    const link = this.#links.get(peer);
    const tripMs = link?.trip.at(nowMs);
    if (tripMs === undefined) return 0;
    const rate = link?.rate.at(nowMs) ?? this.#medianRate(nowMs);
    const chunksMs = rate === undefined ? 0 : (2 * CHUNK_BYTES) / rate;
    const exponent = Math.ceil(Math.log2(1_000 * (tripMs + chunksMs)));
    return Math.min(LINK_EXPONENT_MAX, Math.max(LINK_EXPONENT_MIN, exponent));
  }

  #medianRate(nowMs: number): number | undefined {
    const rates = [...this.#links.values()].flatMap(({ rate }) => rate.at(nowMs) ?? []).sort((a, b) => a - b);
    return rates[rates.length >> 1];
  }
}
