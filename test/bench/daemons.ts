import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type ApiClient, connect } from '../../src/api/client.ts';
import { readApiFile } from '../../src/api/files.ts';
import { childEnvironment } from '../../src/cli/demo/children.ts';
import { createSwarm } from '../../src/node/create.ts';
import type { SwarmConfig } from '../../src/node/swarmConfig.ts';
import { temporaryFolder } from './temporary.ts';

const LAUNCHER = fileURLToPath(new URL('../../scripts/starling.js', import.meta.url));
const LISTEN = '/ip4/127.0.0.1/tcp/0';
/** Ms for a daemon to start on a busy machine, and to stop before it is killed. */
const START_MS = 180_000;
const STOP_MS = 5_000;
/** Ms between looks: what a start is measured to. */
const LOOK_MS = 2;
/** Daemons that start at a time: of fifteen at once, on two cores, some would be given up by those that dial them. */
const TOGETHER = 6;

export interface Daemon {
  readonly data: string;
  /** Of the daemon itself. */
  readonly pid: number;
  readonly client: ApiClient;
  /** From the spawn until api.json is there and /readyz answers 200. */
  readonly startMs: number;
  stop(): Promise<void>;
}

/** The daemons of one bench, each with a data folder of its own under one temporary folder. Disposing ends all. */
export class Daemons implements AsyncDisposable {
  readonly #folder = temporaryFolder();
  readonly #running = new Set<ChildProcess>();

  /** Starts the daemon of folder `name`; with nobody to join it founds a swarm, or goes on with its own. */
  async start(name: string, bootstrap?: string): Promise<Daemon> {
    const data = join(this.#folder.path, name);
    const joins = bootstrap === undefined ? [] : ['--bootstrap', bootstrap];
    const fromMs = performance.now();
    const child = spawn(process.execPath, [LAUNCHER, 'daemon', '--data', data, '--api-port', '0', '--listen', LISTEN, ...joins], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'], // with the channel it ends when this process dies
      env: { ...childEnvironment(process.env), STARLING_LOG_LEVEL: 'error' },
    });
    this.#running.add(child);
    child.once('exit', () => this.#running.delete(child));
    await until(`the daemon of ${data} to be ready`, () => isReady(data, child), START_MS, LOOK_MS);
    const startMs = performance.now() - fromMs;
    const pid = readApiFile(data)?.pid ?? 0;
    return { data, pid, client: await connect({ data }), startMs, stop: () => this.#stop(child) };
  }

  /** A founder and those who know its address, all in one mesh. */
  async swarm(count: number): Promise<Daemon[]> {
    const all = await this.startAll(count);
    const meets = async ({ client }: Daemon): Promise<boolean> => (await client.call('peers_list')).length === count - 1;
    await until('the daemons to meet', async () => (await Promise.all(all.map(meets))).every(Boolean), START_MS);
    return all;
  }

  /** The same while they are still meeting; of a configuration of its own, or of the default one. */
  async startAll(count: number, config?: SwarmConfig): Promise<Daemon[]> {
    if (config !== undefined) await createSwarm(join(this.#folder.path, 'node0'), config);
    const founder = await this.start('node0');
    const { addresses } = await founder.client.call('node_info');
    const all = [founder];
    while (all.length < count) {
      const names = Array.from({ length: Math.min(TOGETHER, count - all.length) }, (_, i) => `node${all.length + i}`);
      all.push(...(await Promise.all(names.map((name) => this.start(name, addresses[0])))));
    }
    return all;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#running].map((child) => this.#stop(child)));
    this.#folder[Symbol.dispose]();
  }

  async #stop(child: ChildProcess): Promise<void> {
    if (!this.#running.has(child)) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    const force = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
    await gone;
    clearTimeout(force);
  }
}

/** Looks every `everyMs` until `holds`; throws after `limitMs`. */
export async function until(what: string, holds: () => Promise<boolean>, limitMs: number, everyMs = 50): Promise<void> {
  const endMs = performance.now() + limitMs;
  while (!(await holds())) {
    if (performance.now() > endMs) throw new Error(`waited ${limitMs} ms for ${what}`);
    await sleep(everyMs);
  }
}

async function isReady(data: string, child: ChildProcess): Promise<boolean> {
  if (child.exitCode !== null) throw new Error(`the daemon of ${data} ended with code ${child.exitCode}`);
  const url = readApiFile(data)?.url;
  return url !== undefined && (await fetch(`${url}/readyz`)).status === 200;
}
