/** What a daemon says of itself: log lines on stderr, figures for /metrics, events for subscribers. */
import { pino } from 'pino';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { EventTopic } from '../api/index.ts';
import type { Journal } from '../epoch/index.ts';

type Listener = (event: unknown) => void;

/** Upper bounds in ms: from a commit on a fast disk to a slow epoch. */
const BUCKETS_MS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000];

export class DaemonJournal implements Journal {
  readonly registry = new Registry();
  readonly #pino;
  readonly #counters = new Map<string, Counter>();
  readonly #histograms = new Map<string, Histogram>();
  readonly #listeners = new Map<EventTopic, Set<Listener>>();
  #isOver: () => boolean = () => false;

  constructor(level: string) {
    this.#pino = pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, pino.destination({ fd: 2, sync: true }));
  }

  /** Nothing is logged once this holds: what fails in a node that has stopped is no fault. */
  until(isOver: () => boolean): void {
    this.#isOver = isOver;
  }

  log(level: 'debug' | 'info' | 'warn' | 'error', room: string, message: string, facts: Record<string, unknown> = {}): void {
    if (this.#isOver()) return;
    this.#pino[level]({ room, ...facts }, message);
    if (level !== 'debug') this.emit('log', { level, room, message, ...facts });
  }

  count(metric: string, value = 1, labels: Record<string, string> = {}): void {
    const name = `starling_${metric}_total`;
    let counter = this.#counters.get(name);
    if (counter === undefined) {
      counter = new Counter({
        name,
        help: `Count of ${metric.replaceAll('_', ' ')}.`,
        labelNames: Object.keys(labels),
        registers: [this.registry],
      });
      this.#counters.set(name, counter);
    }
    counter.inc(labels, value);
  }

  observe(metric: string, value: number, labels: Record<string, string> = {}): void {
    const name = `starling_${metric}`;
    let histogram = this.#histograms.get(name);
    if (histogram === undefined) {
      histogram = new Histogram({
        name,
        help: `Distribution of ${metric.replaceAll('_', ' ')}.`,
        labelNames: Object.keys(labels),
        buckets: BUCKETS_MS,
        registers: [this.registry],
      });
      this.#histograms.set(name, histogram);
    }
    histogram.observe(labels, value);
  }

  /** A figure read when it is asked for. */
  gauge(metric: string, help: string, read: () => number): void {
    new Gauge({
      name: `starling_${metric}`,
      help,
      registers: [this.registry],
      collect() {
        this.set(read());
      },
    });
  }

  emit(topic: EventTopic, event: unknown): void {
    for (const listener of this.#listeners.get(topic) ?? []) listener(event);
  }

  subscribe(topic: EventTopic, listener: Listener): () => void {
    const listeners = this.#listeners.get(topic) ?? new Set();
    this.#listeners.set(topic, listeners.add(listener));
    return () => listeners.delete(listener);
  }
}
