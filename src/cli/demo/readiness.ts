import { setTimeout as sleep } from 'node:timers/promises';
import { type ApiClient, connect } from '../../api/client.ts';
import { readApiFile } from '../../api/files.ts';
import type { NodeInfo } from '../../api/service.ts';
import { StarlingError } from '../../spec/index.ts';

/** Ms between looks: short against the second that a daemon takes to start. */
const POLL_MS = 50;
/** Ms for a daemon to start. The demo's daemons start together, on a machine that may be busy or slow. */
const START_MS = 60_000;
/** Ms for daemons to find each other, through the first one's address alone. */
const MEET_MS = 60_000;

/** A daemon of the demo that answers. */
export interface DemoNode {
  /** From 0; people read `node 0`. */
  readonly index: number;
  readonly data: string;
  readonly client: ApiClient;
  readonly info: NodeInfo;
}

/** Resolves once the daemon of `data` says where it answers. Throws TIMEOUT. */
export async function waitForDaemon(index: number, data: string, signal: AbortSignal): Promise<DemoNode> {
  await until(
    async () => (readApiFile(data) === undefined ? ['no api.json yet'] : []),
    START_MS,
    (reasons) => ({ message: `node ${index} did not start: ${reasons.join()}`, peer: `node ${index}` }),
    signal,
  );
  const client = await connect({ data, signal });
  return { index, data, client, info: await client.call('node_info') };
}

/** Resolves once each node lists every other one as its peer. Throws TIMEOUT naming who misses whom. */
export async function waitForPeers(nodes: readonly DemoNode[], signal: AbortSignal): Promise<void> {
  await until(
    async () => (await Promise.all(nodes.map((node) => missingPeers(node, nodes)))).filter((line) => line !== ''),
    MEET_MS,
    (lines) => ({ message: `the nodes did not all meet: ${lines.join('; ')}`, peer: lines[0]?.split(' misses')[0] ?? '' }),
    signal,
  );
}

async function missingPeers(node: DemoNode, nodes: readonly DemoNode[]): Promise<string> {
  const known = new Set((await node.client.call('peers_list')).map(({ peerId }) => peerId));
  const missing = nodes.filter((other) => other !== node && !known.has(other.info.peerId));
  return missing.length === 0 ? '' : `node ${node.index} misses ${missing.map((other) => `node ${other.index}`).join(', ')}`;
}

/** Looks until nothing is missing any more; after `limitMs` throws TIMEOUT with what `explain` makes of the last look. */
export async function until(
  look: () => Promise<string[]>,
  limitMs: number,
  explain: (missing: string[]) => { message: string; peer: string },
  signal: AbortSignal,
): Promise<void> {
  const start = performance.now();
  for (;;) {
    const missing = await look();
    if (missing.length === 0) return;
    if (performance.now() - start > limitMs) {
      const { message, peer } = explain(missing);
      throw new StarlingError('TIMEOUT', message, {
        peer,
        phase: 'demo',
        fix: 'try again on a less busy machine, or with fewer nodes: --nodes 2',
      });
    }
    await sleep(POLL_MS, undefined, { signal });
  }
}
