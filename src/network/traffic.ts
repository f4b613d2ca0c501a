import type { Metrics, Stream } from './types.ts';

export interface Traffic {
  readonly sentBytes: number;
  readonly receivedBytes: number;
}

/**
 * Counts the bytes of every libp2p stream (gossip, DHT, identify, pings, our own), before encryption and
 * multiplexing, so that TCP and QUIC compare. The handshake's 3-4 KiB a connection are not in it.
 */
export class TrafficMeter {
  #sentBytes = 0;
  #receivedBytes = 0;
  readonly #onSent: (bytes: number) => void;

  /** `onSent` is told of every byte that leaves, as it leaves. */
  constructor(onSent: (bytes: number) => void = nothing) {
    this.#onSent = onSent;
  }

  total(): Traffic {
    return { sentBytes: this.#sentBytes, receivedBytes: this.#receivedBytes };
  }

  /** libp2p hands every negotiated stream to its metrics component; the rest of that interface stays silent. */
  metrics(): Metrics {
    return {
      trackMultiaddrConnection: () => undefined,
      trackProtocolStream: (stream) => this.#track(stream),
      registerMetric: () => SILENT,
      registerMetricGroup: () => SILENT,
      registerCounter: () => SILENT,
      registerCounterGroup: () => SILENT,
      registerHistogram: () => SILENT,
      registerHistogramGroup: () => SILENT,
      registerSummary: () => SILENT,
      registerSummaryGroup: () => SILENT,
      traceFunction: (_name: string, traced: never) => traced,
      createTrace: () => undefined,
    };
  }

  /** Wraps the calls instead of listening: a 'message' listener of ours would take the bytes from the reader. */
  #track(stream: Stream): void {
    const send = stream.send.bind(stream);
    stream.send = (data) => {
      this.#sentBytes += data.byteLength;
      this.#onSent(data.byteLength);
      return send(data);
    };
    const dispatch = stream.dispatchEvent.bind(stream);
    stream.dispatchEvent = (event: Event) => {
      if (event.type === 'message') this.#receivedBytes += (event as Event & { data: Uint8Array }).data.byteLength;
      return dispatch(event);
    };
  }
}

const nothing = (): void => undefined;
const SILENT = {
  update: nothing,
  increment: nothing,
  decrement: nothing,
  reset: nothing,
  observe: nothing,
  timer: () => nothing,
};
