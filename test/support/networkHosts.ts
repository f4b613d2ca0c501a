import { randomBytes } from 'node:crypto';
import { chunkAt, contentOf } from '../../src/crypto/index.ts';
import type { Journal } from '../../src/epoch/ports.ts';
import type { ServedContent } from '../../src/epoch/served.ts';
import { createHost, type Host, type HostComponents, type HostInit, type KnownPeer } from '../../src/network/index.ts';
import type { Genesis, SwarmId } from '../../src/spec/index.ts';
import { encodeGenesis, swarm8, swarmIdOf } from '../../src/wire/index.ts';

/** Ms for one test over real sockets: many times what it takes, for machines that do other things too. */
export const TIMEOUT_MS = 40_000;

export type TransportName = 'tcp' | 'quic';
export const TRANSPORTS: readonly TransportName[] = ['tcp', 'quic'];
export const LISTEN = { tcp: '/ip4/127.0.0.1/tcp/0', quic: '/ip4/127.0.0.1/udp/0/quic-v1' } as const;

/** A model of 200,000 parameters: 800,000 bytes, four chunks. */
export const initialModel = new Uint8Array(800_000).map((_, i) => i * 31);

const genesis: Genesis = {
  v: 1,
  name: 'network test',
  tensors: [{ name: 'w', shape: [200_000] }],
  initialModelRoot: contentOf(initialModel).root,
  aggregation: 'mean',
  privacy: 'member-readable',
  admission: 'open',
  voting: 'open',
  updateDtype: 'int16',
  encoding: 'dense',
  topkShare: 0.05,
  schedule: 'auto',
  scaleExponents: [-12],
  eta: 1,
  lambda: 1,
  clipNorm: 10,
  maxSamples: 1_000,
  epochDeadlineMs: 10_000,
  minDeadlineMs: 100,
  missEpochs: 5,
  snapshotEpochs: 10,
  retainEpochs: 100,
  founders: [
    {
      v: 1,
      mldsaPublicKey: new Uint8Array(1952),
      ed25519PublicKey: new Uint8Array(32),
      nodeClass: 'core',
      capabilities: [],
      signature: new Uint8Array(3373),
    },
  ],
  createdMs: 0,
};

export const genesisBytes = encodeGenesis(genesis);
export const SWARM = swarmIdOf(genesisBytes);
export const OTHER_SWARM: SwarmId = 'f'.repeat(64);

export interface JournalLine {
  readonly level: string;
  readonly message: string;
  readonly facts: Record<string, unknown>;
}

/** A journal that keeps what it is told. */
export function recordingJournal(): Journal & { readonly lines: JournalLine[]; readonly counts: Map<string, number> } {
  const lines: JournalLine[] = [];
  const counts = new Map<string, number>();
  return {
    lines,
    counts,
    log: (level, _room, message, facts = {}) => void lines.push({ level, message, facts }),
    count: (metric, value = 1) => void counts.set(metric, (counts.get(metric) ?? 0) + value),
    observe: () => undefined,
  };
}

export interface TestHost extends Host {
  readonly journal: ReturnType<typeof recordingJournal>;
  readonly seed: Uint8Array;
  remembered(): readonly KnownPeer[];
}

/** Serves this content under any root. */
export const servedFrom = (content: Uint8Array): ServedContent => ({
  index: async () => contentOf(content),
  readChunk: async (_root, i) => chunkAt(content, i),
});

const running = new Set<Host>();

/** A host that is not started yet; `stopAll` stops it. */
export async function makeHost(init: Partial<HostInit> & Pick<HostInit, 'listen'>, parts: Partial<HostComponents> = {}): Promise<TestHost> {
  const journal = recordingJournal();
  const seed = init.ed25519Seed ?? new Uint8Array(randomBytes(32));
  const swarmId = init.swarmId ?? SWARM;
  let remembered: KnownPeer[] = [];
  const host = await createHost(
    { swarmId, bootstrap: [], ...init, ed25519Seed: seed },
    {
      journal,
      isTopicAllowed: (topic) => topic.startsWith(`/starling/${swarm8(swarmId)}/`),
      peerBook: {
        load: async () => remembered,
        save: async (peers) => {
          remembered = [...peers];
        },
      },
      genesis: { genesisBytes, blobs: servedFrom(initialModel) },
      ...parts,
    },
  );
  running.add(host);
  return { ...host, journal, seed, remembered: () => remembered };
}

/** A running host that listens on `transport`. */
export async function startHost(
  transport: TransportName,
  init: Partial<HostInit> = {},
  parts: Partial<HostComponents> = {},
): Promise<TestHost> {
  const host = await makeHost({ listen: [LISTEN[transport]], ...init }, parts);
  await host.start();
  return host;
}

/** `count` hosts that know the first one's address only. */
export async function startSwarm(transport: TransportName, count: number): Promise<TestHost[]> {
  const first = await startHost(transport);
  const rest = await Promise.all(Array.from({ length: count - 1 }, () => startHost(transport, { bootstrap: first.addresses() })));
  const hosts = [first, ...rest];
  await until('the swarm is a full mesh', () => hosts.every((one) => one.streams.peers().length === count - 1));
  return hosts;
}

export async function stopAll(): Promise<void> {
  await Promise.all([...running].map((host) => host.stop()));
  running.clear();
}

/** Waits for a condition, not for a time: looks every 10 ms, and after `limitMs` says what did not come. */
export async function until(what: string, holds: () => boolean, limitMs = 15_000): Promise<void> {
  const endMs = performance.now() + limitMs;
  while (!holds()) {
    if (performance.now() > endMs) throw new Error(`not within ${limitMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
