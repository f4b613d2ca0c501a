import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { accessSync, constants, existsSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { connect } from '../../api/client.ts';
import { asStarlingError } from '../../spec/errors.ts';

export interface Finding {
  readonly check: string;
  /** A warning costs comfort or speed; a failure keeps a daemon from working. */
  readonly state: 'ok' | 'warning' | 'failed';
  readonly found: string;
  readonly fix?: string;
}

/** What a check answers when all is well; it throws, or returns `warn`, when not. */
type Check = () => Promise<string | Warning>;
interface Warning {
  readonly warning: string;
  readonly fix: string;
}

/** Node releases with type stripping, node:sqlite, zstd and ML-DSA that this version is tested on. */
const NODE_MAJOR = 26;
/** Ms since 1970 of 2025-01-01: a clock before the release's year was never set. */
const CLOCK_FLOOR_MS = Date.UTC(2025, 0, 1);

/**
 * Examines this machine and the data folder, changing nothing; `only` names the checks to run (all without it).
 * Never throws: every failure is a finding.
 */
export async function examine(data: string, environment: NodeJS.ProcessEnv, only?: readonly string[]): Promise<Finding[]> {
  const checks: readonly (readonly [string, string, Check])[] = [
    ['node', `run starling through its launcher, which brings Node ${NODE_MAJOR}`, nodeVersion],
    ['clock', 'set the date, e.g. timedatectl set-ntp true', clock],
    ['data folder', `make it yours alone: chown "$USER" ${data} && chmod 700 ${data}`, async () => dataFolder(data)],
    ['configuration', `correct ${join(data, 'config.toml')}`, async () => configuration(data, environment)],
    ['sqlite', 'use the pinned Node: its node:sqlite is part of the binary', sqlite],
    ['zstd', 'use the pinned Node: its node:zlib has zstd', zstd],
    ['ml-dsa', 'reinstall: npm ci', mldsa],
    ['quic', 'npm ci on Linux x64 with glibc; elsewhere nodes meet over TCP', quic],
    ['compute', 'reinstall: npm ci', async () => compute()],
    ['daemon', `look at its log, or start it: starling daemon --data ${data}`, async () => daemon(data)],
    ['ports', 'stop what uses them, or choose others with --listen and --api-port', async () => ports(data, environment)],
  ];
  const findings: Finding[] = [];
  for (const [check, fix, run] of checks) {
    if (only === undefined || only.includes(check)) findings.push(await finding(check, fix, run));
  }
  return findings;
}

async function finding(check: string, fix: string, run: Check): Promise<Finding> {
  try {
    const answer = await run();
    return typeof answer === 'string'
      ? { check, state: 'ok', found: answer }
      : { check, state: 'warning', found: answer.warning, fix: answer.fix };
  } catch (thrown) {
    const error = asStarlingError(thrown);
    return { check, state: 'failed', found: error.message, fix: error.facts.fix ?? fix };
  }
}

const nodeVersion: Check = async () => {
  if (Number(process.versions.node.split('.')[0]) < NODE_MAJOR)
    throw new Error(`Node ${process.versions.node}, ${NODE_MAJOR} or newer is needed`);
  return process.versions.node;
};

const clock: Check = async () => {
  const now = Date.now();
  if (now < CLOCK_FLOOR_MS) throw new Error(`the clock says ${new Date(now).toISOString()}`);
  return new Date(now).toISOString();
};

/** The folder, or the nearest parent that exists, must be writable; nobody else may read the keys in it. */
function dataFolder(data: string): string | Warning {
  let nearest = data;
  while (!existsSync(nearest)) nearest = dirname(nearest);
  accessSync(nearest, constants.W_OK | constants.X_OK);
  if (nearest !== data) return `${data} (not made yet)`;
  const mode = statSync(data).mode & 0o777;
  if ((mode & 0o077) !== 0) return { warning: `${data} is open to others (mode ${mode.toString(8)})`, fix: `chmod 700 ${data}` };
  return data;
}

async function configuration(data: string, environment: NodeJS.ProcessEnv): Promise<string> {
  const { loadDaemonConfig } = await import('../../node/config.ts');
  const config = loadDaemonConfig(data, {}, environment);
  return `class ${config.class}, api ${config.apiPort}, ${config.listen.length} addresses, ${config.bootstrap.length} bootstrap`;
}

const sqlite: Check = async () => {
  const { DatabaseSync } = await import('node:sqlite');
  const db = new DatabaseSync(':memory:');
  const version = String(db.prepare('SELECT sqlite_version() AS version').get()?.version);
  db.close();
  return version;
};

const zstd: Check = async () => {
  const { zstdCompressSync, zstdDecompressSync } = await import('node:zlib');
  const plain = Buffer.alloc(1_024, 7);
  if (!zstdDecompressSync(zstdCompressSync(plain), { maxOutputLength: plain.length }).equals(plain))
    throw new Error('zstd does not give back what it took');
  return process.versions.zstd ?? 'built in';
};

const mldsa: Check = async () => {
  const { generateKeyPairSync, sign, verify } = await import('node:crypto');
  const message = Buffer.from('starling');
  try {
    const { publicKey, privateKey } = generateKeyPairSync('ml-dsa-65');
    if (!verify(null, message, publicKey, sign(null, message, privateKey))) throw new Error('it refuses its own signature');
    return `native, OpenSSL ${process.versions.openssl}`;
  } catch (error) {
    await import('@noble/post-quantum/ml-dsa.js');
    return {
      warning: `no native ML-DSA-65 (${(error as Error).message}); the slower library is used`,
      fix: 'use the pinned Node: its OpenSSL has ML-DSA',
    };
  }
};

const quic: Check = async () => {
  try {
    const { quic: transport } = await import('@chainsafe/libp2p-quic');
    return typeof transport === 'function' ? 'loads' : 'no transport';
  } catch (error) {
    return { warning: `does not load: ${(error as Error).message.split('\n')[0]}`, fix: 'nothing to do: nodes meet over TCP' };
  }
};

/** Which backends run here, each forced and verified against the reference. */
async function compute(): Promise<string | Warning> {
  const { BACKENDS, createCompute } = await import('../../compute/index.ts');
  const states: string[] = [];
  for (const backend of BACKENDS) {
    try {
      const forced = await createCompute({ backend });
      const { adapter } = forced.info();
      states.push(adapter === undefined ? backend : `${backend} (${adapter})`);
      await forced.close();
    } catch (thrown) {
      const error = asStarlingError(thrown);
      if (error.code !== 'BACKEND_UNAVAILABLE') throw error;
      states.push(`no ${backend}`);
    }
  }
  return states.join(', ');
}

async function daemon(data: string): Promise<string> {
  try {
    const client = await connect({ data });
    const [{ pid, uptimeMs }, { problems }] = await Promise.all([client.call('node_info'), client.call('node_health')]);
    if (problems.length > 0) throw new Error(problems.map(({ code, message }) => `${code}: ${message}`).join('; '));
    return `runs, pid ${pid}, up ${Math.round(uptimeMs / 1_000)} s`;
  } catch (thrown) {
    if (asStarlingError(thrown).code === 'DAEMON_DOWN') return 'not running';
    throw thrown;
  }
}

/** A running daemon of this folder holds its ports itself. */
async function ports(data: string, environment: NodeJS.ProcessEnv): Promise<string> {
  if ((await daemon(data)) !== 'not running') return 'held by the daemon';
  const { loadDaemonConfig } = await import('../../node/config.ts');
  const { listen, apiPort } = loadDaemonConfig(data, {}, environment);
  const tried = [await bindTcp('127.0.0.1', apiPort)];
  for (const address of listen) {
    const [, family, host, protocol, port] = address.split('/');
    if (host === undefined || port === undefined || family?.startsWith('ip') !== true) continue;
    tried.push(protocol === 'udp' ? await bindUdp(host, Number(port)) : await bindTcp(host, Number(port)));
  }
  return `free: ${tried.join(', ')}`;
}

async function bindTcp(host: string, port: number): Promise<string> {
  const server = createServer();
  server.listen({ host, port, exclusive: true });
  await once(server, 'listening');
  await new Promise((closed) => server.close(closed));
  return `tcp ${port}`;
}

async function bindUdp(host: string, port: number): Promise<string> {
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
  socket.bind({ address: host, port, exclusive: true });
  await once(socket, 'listening');
  socket.close();
  return `udp ${port}`;
}
