import { generateKeyPair } from '@libp2p/crypto/keys';
import { createLibp2p } from 'libp2p';
import type { Journal, Streams } from '../epoch/ports.ts';
import { pullContent } from '../epoch/pull.ts';
import { type ServedContent, serveContent } from '../epoch/served.ts';
import { GENESIS_MAX_BYTES, type Genesis, type PeerId, StarlingError, type SwarmId } from '../spec/index.ts';
import { decodeGenesis, GENESIS_PROTOCOL, parameterCount, swarmIdOf } from '../wire/index.ts';
import { parseAddress, UNREACHABLE_FIX } from './address.ts';
import { Answerer } from './answerer.ts';
import { Asker } from './asker.ts';
import { Holdings } from './holdings.ts';
import { GENESIS_SERVICE, STREAM } from './limits.ts';
import { connectionManager } from './node.ts';
import { Pace } from './pace.ts';
import { chooseTransports, secureChannels } from './transports.ts';
import type { Node, Stream } from './types.ts';
import type { Uplink } from './uplink.ts';

/** What a member serves to newcomers. `blobs` MUST hold the initial model. */
export interface GenesisSource {
  readonly genesisBytes: Uint8Array;
  readonly blobs: ServedContent;
}

/**
 * Serves `/starling/genesis/1` (PROTOCOL section 2): an empty request is answered with the genesis bytes, a content
 * request with a part of the initial model and of nothing else. MUST run before the node starts.
 */
export async function serveGenesis(node: Pick<Node, 'handle'>, source: GenesisSource, journal: Journal, uplink?: Uplink): Promise<void> {
  const { initialModelRoot } = decodeGenesis(source.genesisBytes);
  const pace = new Pace(GENESIS_SERVICE);
  const holdings = new Holdings(STREAM);
  const serveModel = serveContent({
    index: async (root) => (root === initialModelRoot ? await source.blobs.index(root) : undefined),
    readChunk: (root, i) => source.blobs.readChunk(root, i),
  });
  await node.handle(
    GENESIS_PROTOCOL,
    (stream, connection) => {
      new Answerer(stream, {
        peer: connection.remotePeer.toString(),
        pace,
        holdings,
        uplink,
        handler: async (from, payload) => (payload.byteLength === 0 ? source.genesisBytes : await serveModel(from, payload)),
        onViolation: () => journal.count('network_violations', 1, { protocol: 'genesis' }),
      });
    },
    { maxInboundStreams: 1 },
  );
}

export interface FetchOptions {
  /** Ms for the whole fetch up to the genesis, and for each chunk of the model after it. */
  readonly timeoutMs: number;
  readonly journal: Journal;
  /** The only swarm that is wanted. */
  readonly swarmId?: SwarmId;
  readonly signal?: AbortSignal;
}

export interface FetchedGenesis {
  readonly genesisBytes: Uint8Array;
  readonly genesis: Genesis;
  readonly swarmId: SwarmId;
  /** f32 little-endian, tensors concatenated; its root is the genesis's `initialModelRoot`. */
  readonly initialModel: Uint8Array;
  readonly from: PeerId;
}

/**
 * Learns a swarm from one of its members, with a host that has a key of its own and lives for this call only.
 * Throws BAD_USAGE, UNREACHABLE, PEER_TIMEOUT, PEER_REFUSED, WRONG_SWARM, NOT_FOUND (the model was corrupt) or a decoding error.
 */
export async function fetchGenesis(address: string, options: FetchOptions): Promise<FetchedGenesis> {
  const { transports } = await chooseTransports([], options.journal);
  const node = await createLibp2p({
    privateKey: await generateKeyPair('Ed25519'),
    addresses: { listen: [] },
    transports,
    ...secureChannels(),
    connectionManager,
    connectionMonitor: { enabled: false },
  });
  try {
    const { stream, peer } = await openTo(node, address, options);
    return await fetchOver(stream, peer, options);
  } finally {
    await node.stop();
  }
}

async function openTo(node: Pick<Node, 'dial'>, address: string, options: FetchOptions): Promise<{ stream: Stream; peer: PeerId }> {
  const signal = deadline(options);
  const target = parseAddress(address);
  try {
    const connection = await node.dial(target, { signal });
    return { stream: await connection.newStream(GENESIS_PROTOCOL, { signal }), peer: connection.remotePeer.toString() };
  } catch (cause) {
    options.signal?.throwIfAborted();
    throw new StarlingError(
      'UNREACHABLE',
      `no daemon of a swarm answers at ${address}: ${(cause as Error).message}`,
      {
        peer: address,
        phase: 'genesis',
        fix: UNREACHABLE_FIX,
      },
      { cause },
    );
  }
}

async function fetchOver(stream: Stream, peer: PeerId, options: FetchOptions): Promise<FetchedGenesis> {
  const onViolation = (violation: StarlingError): void =>
    options.journal.log('warn', 'network', violation.message, { peer, phase: 'genesis' });
  const asker = new Asker(stream, { peer, uplink: undefined, onViolation });
  const request: Streams['request'] = async (from, _protocol, payload, { timeoutMs, maxResponseBytes, signal }) => {
    const limit = deadline({ timeoutMs, ...(signal === undefined ? {} : { signal }) });
    try {
      return await asker.request(payload, { maxResponseBytes, signal: limit });
    } catch (error) {
      signal?.throwIfAborted();
      throw error instanceof StarlingError ? error : timedOut(from, timeoutMs);
    }
  };
  const genesisBytes = await request(peer, 'content', new Uint8Array(0), { ...options, maxResponseBytes: GENESIS_MAX_BYTES });
  const genesis = decodeGenesis(genesisBytes);
  const swarmId = swarmIdOf(genesisBytes);
  if (options.swarmId !== undefined && options.swarmId !== swarmId)
    throw new StarlingError('WRONG_SWARM', `${peer} belongs to swarm ${swarmId}, not to ${options.swarmId}`, {
      peer,
      phase: 'genesis',
      fix: 'use a bootstrap address of that swarm, or leave out --swarm',
    });
  const sizeBytes = 4 * parameterCount(genesis.tensors);
  const initialModel = await pullContent({ request }, [peer], genesis.initialModelRoot, sizeBytes, options);
  return { genesisBytes, genesis, swarmId, initialModel, from: peer };
}

const timedOut = (peer: PeerId, timeoutMs: number): StarlingError =>
  new StarlingError('PEER_TIMEOUT', `${peer} did not answer within ${timeoutMs} ms`, {
    peer,
    phase: 'genesis',
    fix: 'try again, or use another bootstrap address',
  });

const deadline = ({ timeoutMs, signal }: Pick<FetchOptions, 'timeoutMs' | 'signal'>): AbortSignal => {
  const timeout = AbortSignal.timeout(timeoutMs);
  return signal === undefined ? timeout : AbortSignal.any([signal, timeout]);
};
