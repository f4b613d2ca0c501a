import { setTimeout as sleep } from 'node:timers/promises';
import { StarlingError } from '../../spec/index.ts';
import type { Display } from './display.ts';
import type { NodeProgress } from './progress.ts';
import type { DemoNode } from './readiness.ts';

/** Ms between looks at phase and peers: as often as a terminal is redrawn, and nothing to a daemon. */
const LOOK_MS = 250;
/** Every how many looks the metrics are read. */
const METRICS_EVERY = 4;
/** Ms without news from any trainer after which the demo gives up. Four times the swarm's own deadline. */
const STALL_MS = 120_000;
/** Counter of bytes that libp2p wrote to its sockets. */
const SENT_METRIC = 'starling_network_sent_bytes_total';

/** Watches daemons and draws until `signal` aborts. Rejects with TIMEOUT naming the nodes behind when nothing moves any more. */
export async function monitor(
  nodes: readonly DemoNode[],
  progress: readonly NodeProgress[],
  display: Display,
  signal: AbortSignal,
): Promise<never> {
  let news = '';
  let newsMs = performance.now();
  for (let look = 0; ; look++) {
    await Promise.all(nodes.map((node, i) => lookAt(node, progress[i] as NodeProgress, look % METRICS_EVERY === 0)));
    display.refresh();
    const now = progress.map(({ epoch, accuracies, report }) => [epoch, accuracies.size, report === undefined]).join();
    if (now !== news) newsMs = performance.now();
    news = now;
    if (performance.now() - newsMs > STALL_MS) throw stalled(progress);
    await sleep(LOOK_MS, undefined, { signal });
  }
}

async function lookAt({ client }: DemoNode, progress: NodeProgress, withMetrics: boolean): Promise<void> {
  const [current, peers] = await Promise.all([client.call('epoch_current'), client.call('peers_list')]);
  progress.phase = current.phase;
  progress.epoch = current.epoch;
  progress.peers = peers.length;
  if (withMetrics) progress.sentBytes = await sentBytes({ client });
}

/** Bytes this daemon has sent since it began; null where it does not count them. */
export async function sentBytes({ client }: Pick<DemoNode, 'client'>): Promise<number | null> {
  return sumOf(SENT_METRIC, await client.call('metrics_get'));
}

/** Sum over the labels of one metric in prom-client's JSON form. */
export function sumOf(name: string, metrics: unknown): number | null {
  const all = metrics as readonly { readonly name: string; readonly values: readonly { readonly value: number }[] }[];
  const values = all.find((metric) => metric.name === name)?.values;
  return values?.reduce((sum, { value }) => sum + value, 0) ?? null;
}

function stalled(progress: readonly NodeProgress[]): StarlingError {
  const least = Math.min(...progress.map(({ epoch }) => epoch));
  const behind = progress.flatMap(({ epoch, phase }, i) => (epoch === least ? [`node ${i} is ${phase} in epoch ${epoch}`] : []));
  return new StarlingError('TIMEOUT', `nothing has moved for ${STALL_MS / 1000} s: ${behind.join('; ')}`, {
    peer: behind[0]?.split(' is')[0] ?? '',
    phase: 'demo',
    fix: 'run `starling demo --keep` and look with `starling epochs` and `starling peers`',
  });
}
