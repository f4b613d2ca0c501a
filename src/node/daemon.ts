/** A node over real ports: options, wiring, ordered start and stop. The only place that constructs the world. */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { endianness } from 'node:os';
import { loadOrCreateToken, removeApiFile, writeApiFile } from '../api/files.ts';
import { type CalibratedCompute, createCompute } from '../compute/index.ts';
import { identityFromSeeds } from '../crypto/index.ts';
import { Engine, type EpochPorts, type Journal, LARGE_MODEL_BYTES, openInitialModel } from '../epoch/index.ts';
import type { PeerBook } from '../network/index.ts';
import { asStarlingError, type Genesis, StarlingError, type SwarmId } from '../spec/index.ts';
import {
  type DataFolder,
  loadOrCreateSeeds,
  lockDataFolder,
  openBlobStore,
  openBlocks,
  openLedger,
  openNodeStore,
  openPeerBook,
  openScratch,
  prepareDataFolder,
  writeFileAtomic,
} from '../storage/index.ts';
import { checkCertificate, decodeGenesis, parameterCount, parseTopic, swarmIdOf } from '../wire/index.ts';
import { calibrateAside, calibrationCache } from './calibration.ts';
import type { DaemonConfig } from './config.ts';
import { found } from './create.ts';
import { DaemonJournal } from './journal.ts';
import { LongestTurn } from './longestTurn.ts';
import { proofSource } from './proofSource.ts';
import { randomBytes, systemClock, systemEntropy } from './random.ts';
import { DaemonService } from './service.ts';
import { Stages } from './stages.ts';
import { Stoppable } from './stoppable.ts';
import { DEFAULT_SWARM_CONFIG, loadSwarmConfig } from './swarmConfig.ts';
import { version } from './version.ts';

/** Ms for a bootstrap node to hand over the genesis, and between two tries: doubling from the first to the last. */
const GENESIS_MS = 10_000;
const RETRY_FIRST_MS = 500;
const RETRY_LAST_MS = 15_000;
/**
 * Ms of running after which an unmeasured machine is calibrated, so that a start is never slowed by it; up to twice as much, so that of
 * several daemons one measures for all.
 */
const CALIBRATE_AFTER_MS = 60_000;
/** Epochs around the current one whose topics carry messages: n-1 may linger, n+1 is held. */
const TOPIC_WINDOW = 2;

/** Runs until `signal` aborts or an API client asks for a stop. Throws what kept it from starting, or ended it. */
export async function runDaemon(config: DaemonConfig, signal: AbortSignal): Promise<void> {
  // Both take most of a second to load, and neither needs the other.
  const network = import('../network/index.ts');
  const api = import('../api/server.ts');
  const stopping = new AbortController();
  const stop = AbortSignal.any([signal, stopping.signal]);
  const journal = new DaemonJournal(config.log.level);
  const stages = new Stages(journal);
  const running = new Stoppable();
  journal.until(() => running.isStopped);
  await using closers = new AsyncDisposableStack();

  const folder = prepareDataFolder(config.data);
  const lock = lockDataFolder(folder.lock);
  closers.defer(() => lock.release());
  const blobs = openBlobStore(folder.blobs);
  const { genesis, genesisBytes, swarm } = await stages.run('rules', () => genesisOf(config, folder, journal, stop));

  const stores = await stages.run('ledger', () => {
    const entries = openLedger(folder.ledger);
    closers.defer(() => entries.close());
    const blocks = openBlocks(folder.blocks);
    closers.defer(() => blocks.close());
    const store = openNodeStore(folder.node);
    closers.defer(() => store.close());
    // Closed last of all, but first of these: an answer that comes late finds no database that is gone.
    closers.defer(() => running.stop());
    return { entries: running.wrap(entries), blocks: running.wrap(blocks), store: running.wrap(store) };
  });
  const seeds = loadOrCreateSeeds(folder.identity, randomBytes);
  const identity = await stages.run('register', () => identityFromSeeds(seeds));
  const elements = parameterCount(genesis.tensors);
  const scratch = 4 * elements < LARGE_MODEL_BYTES ? undefined : openScratch(folder.scratch);
  const compute = await createCompute({ backend: config.compute.backend, cache: calibrationCache(), elements });
  closers.defer(() => compute.close());

  let engine: Engine | undefined;
  const { createHost } = await network;
  const known = openPeerBook(folder.peers);
  const peerBook: PeerBook = { load: async () => known.load(), save: async (peers) => known.save(peers) };
  const alone = config.bootstrap.length === 0 && known.load().length === 0;
  let founds = existsSync(folder.founding);
  const endFounding = (): void => {
    founds = false;
    rmSync(folder.founding, { force: true });
  };
  const host = await createHost(
    {
      ed25519Seed: seeds.ed25519Seed,
      swarmId: swarm,
      listen: config.listen,
      bootstrap: config.bootstrap,
      uploadKbit: config.uploadKbit,
    },
    {
      journal,
      peerBook,
      genesis: { genesisBytes, blobs },
      isTopicAllowed: (topic) => {
        const parsed = parseTopic(topic);
        return parsed.kind !== 'epoch' || Math.abs(parsed.epoch - 1 - (engine?.ctx.chain.head.state.epoch ?? 0)) <= TOPIC_WINDOW;
      },
    },
  );
  let fatal: StarlingError | undefined;
  const ports: EpochPorts = {
    clock: systemClock,
    entropy: systemEntropy,
    gossip: host.gossip,
    streams: host.streams,
    blobs,
    scratch,
    own: openBlobStore(folder.own),
    journal,
    compute,
    ...stores,
  };
  const node = new Engine(
    {
      identity,
      nodeClass: config.class,
      swarm,
      genesis,
      initialModel: await openInitialModel(genesis, blobs, scratch !== undefined),
      invite: config.invite,
      ports,
    },
    { alone, founds },
    {
      changed(topic) {
        if (founds && node.ctx.chain.finalized.state.epoch > 0) endFounding();
        journal.emit(topic, { epoch: node.ctx.chain.head.state.epoch, phase: node.state.phase });
      },
      fatal: (error) => {
        fatal = error;
        stages.fail(error);
        stopping.abort();
      },
    },
  );
  engine = node;
  closers.defer(() => node.stop());
  host.streams.onPeer((peer, connected) => journal.emit('peers', { peer, connected }));
  await stages.run('join', async () => {
    closers.defer(() => host.stop());
    await node.replay();
    await host.start();
    await node.start();
  });

  const service = new DaemonService({
    engine: node,
    host,
    journal,
    stages,
    entries: stores.entries,
    proofs: proofSource(node.ctx, genesisBytes),
    version: version(),
    computeInfo: () => compute.info(),
    stop: () => stopping.abort(),
  });
  await stages.run('run', async () => {
    const { startApi } = await api;
    const server = await startApi({
      service,
      token: loadOrCreateToken(config.data),
      port: config.apiPort,
      onInternal: (error) => journal.log('error', 'api', 'a method failed', asStarlingError(error).toJSON()),
    });
    closers.defer(() => server.close());
    writeApiFile(config.data, { url: server.url, pid: process.pid, version: version() });
    closers.defer(() => removeApiFile(config.data));
    journal.log('info', 'node', 'running', { swarm, fingerprint: identity.fingerprint, api: server.url, addresses: host.addresses() });
  });
  await stages.run('calibrate', () => {
    const timer = setTimeout(() => void calibrate(compute, elements, journal, stop), CALIBRATE_AFTER_MS * (1 + systemEntropy.uniform()));
    closers.defer(() => clearTimeout(timer));
  });
  await stages.run('monitor', () => gauges(journal, node, host, closers.use(new LongestTurn())));

  await new Promise<void>((resolve) => {
    if (stop.aborted) resolve();
    else stop.addEventListener('abort', () => resolve(), { once: true });
  });
  journal.log('info', 'node', 'stopping', {});
  if (fatal === undefined) await node.desk.goAway();
  await closers.disposeAsync();
  if (fatal !== undefined) throw fatal;
}

interface Membership {
  readonly genesis: Genesis;
  readonly genesisBytes: Uint8Array;
  readonly swarm: SwarmId;
}

/** The swarm of this folder: the one it has, the one of a bootstrap node, or a new one. Throws WRONG_SWARM, BAD_CERTIFICATE. */
async function genesisOf(config: DaemonConfig, folder: DataFolder, journal: Journal, stop: AbortSignal): Promise<Membership> {
  if (endianness() !== 'LE')
    throw new StarlingError('BACKEND_UNAVAILABLE', 'this machine is big-endian; updates are little-endian', { phase: 'rules' });
  if (!existsSync(folder.genesis)) {
    if (config.bootstrap.length > 0) await fetchMembership(config, folder, journal, stop);
    else if (config.swarm === undefined) await found(config.data, loadSwarmConfig(DEFAULT_SWARM_CONFIG));
    else
      throw new StarlingError('BAD_USAGE', `swarm ${config.swarm} is not in this data folder`, {
        field: 'swarm',
        fix: 'add --bootstrap with the address of one of its nodes',
      });
  }
  const genesisBytes = new Uint8Array(readFileSync(folder.genesis));
  const swarm = swarmIdOf(genesisBytes);
  if (config.swarm !== undefined && config.swarm !== swarm)
    throw new StarlingError('WRONG_SWARM', `this data folder belongs to swarm ${swarm}, --swarm asks for ${config.swarm}`, {
      field: 'swarm',
      phase: 'rules',
      fix: 'leave --swarm out, or use the data folder of that swarm',
    });
  const genesis = decodeGenesis(genesisBytes);
  for (const founder of genesis.founders) checkCertificate(founder);
  if (genesis.voting === 'open') requireLoopback([...config.listen, ...config.bootstrap]);
  return { genesis, genesisBytes, swarm };
}

/** Whoever starts enough daemons decides in a swarm of open voting: it is for demos on one machine (PROTOCOL section 2). */
function requireLoopback(addresses: readonly string[]): void {
  const open = addresses.find((address) => !/^\/(ip4\/127\.|ip6\/::1\/)/.test(address));
  if (open === undefined) return;
  throw new StarlingError('BAD_CONFIG', `every member votes in this swarm (voting = "open"), and ${open} is not a loopback address`, {
    field: 'listen',
    phase: 'rules',
    fix: 'listen on /ip4/127.0.0.1/..., or found a swarm with voting = "invited" and hand out `starling invite --vote`',
  });
}

/** Asks the bootstrap addresses in turn until one answers; an unreachable one is said and tried again. */
async function fetchMembership(config: DaemonConfig, folder: DataFolder, journal: Journal, stop: AbortSignal): Promise<void> {
  const { fetchGenesis } = await import('../network/index.ts');
  for (let waitMs = RETRY_FIRST_MS; ; waitMs = Math.min(2 * waitMs, RETRY_LAST_MS)) {
    for (const address of config.bootstrap) {
      try {
        const fetched = await fetchGenesis(address, {
          timeoutMs: GENESIS_MS,
          journal,
          signal: stop,
          ...(config.swarm === undefined ? {} : { swarmId: config.swarm }),
        });
        await openBlobStore(folder.blobs).put(fetched.initialModel);
        writeFileAtomic(folder.genesis, fetched.genesisBytes, 0o644);
        journal.log('info', 'node', 'joined a swarm', { swarm: fetched.swarmId, name: fetched.genesis.name, from: fetched.from });
        return;
      } catch (error) {
        if (stop.aborted) throw error;
        const problem = asStarlingError(error, { peer: address, phase: 'genesis' });
        if (problem.code === 'WRONG_SWARM' || problem.code === 'BAD_USAGE' || problem.code === 'BAD_CERTIFICATE') throw problem;
        journal.log('warn', 'node', 'a bootstrap node does not answer; trying again', { ...problem.toJSON(), retryMs: waitMs });
      }
    }
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, waitMs);
      stop.addEventListener(
        'abort',
        () => {
          clearTimeout(timer);
          resolve();
        },
        { once: true },
      );
    });
    stop.throwIfAborted();
  }
}

async function calibrate(compute: CalibratedCompute, elements: number, journal: Journal, stop: AbortSignal): Promise<void> {
  try {
    if (compute.isCalibrated()) return;
    await calibrateAside(compute, elements, stop);
    journal.log('info', 'compute', 'calibrated', { ...compute.info().byOperation });
  } catch (error) {
    if (!stop.aborted) journal.log('warn', 'compute', 'calibration failed; the reference is used', asStarlingError(error).toJSON());
  }
}

function gauges(
  journal: DaemonJournal,
  engine: Engine,
  host: { peers(): readonly unknown[]; traffic(): { sentBytes: number; receivedBytes: number }; openStreams(): number },
  turn: LongestTurn,
): void {
  const { ctx } = engine;
  journal.gauge('epoch', 'Latest epoch applied.', () => ctx.chain.head.state.epoch);
  journal.gauge('finalized_epoch', 'Newest final block.', () => ctx.chain.finalized.state.epoch);
  journal.gauge('quorate', '1 while a quorum of voters is in reach.', () => (ctx.quorate ? 1 : 0));
  journal.gauge('vote_round', 'Round of the vote on the next block.', () => engine.committee.voting.round);
  journal.gauge('members', 'Members of the swarm.', () => ctx.chain.head.state.members.length);
  journal.gauge('peers', 'Peers connected.', () => host.peers().length);
  journal.gauge('ledger_entries', 'Entries held.', () => ctx.replica.graph.size);
  journal.gauge('tree_size', 'Leaves of the provisional tree.', () => ctx.chain.order.size);
  journal.gauge('network_sent_bytes_total', 'Bytes sent over streams since the start, before encryption.', () => host.traffic().sentBytes);
  journal.gauge(
    'network_received_bytes_total',
    'Bytes received over streams since the start, before encryption.',
    () => host.traffic().receivedBytes,
  );
  journal.gauge('open_streams', 'Streams open on all connections.', () => host.openStreams());
  journal.gauge('timers', 'Timers that are set and keep the process alive.', () => active('Timeout'));
  journal.gauge('resident_bytes', 'Resident memory of the process.', () => process.memoryUsage.rss());
  journal.gauge('longest_turn_ms', 'Longest turn of the event loop in the last minute or two.', () => turn.ms);
}

const active = (kind: string): number => process.getActiveResourcesInfo().filter((one) => one === kind).length;
