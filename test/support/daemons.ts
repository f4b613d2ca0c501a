import { type ChildProcess, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Receipt } from '../../src/api/calls.ts';
import { type ApiClient, connect } from '../../src/api/client.ts';
import { readApiFile } from '../../src/api/files.ts';
import type { NodeInfo } from '../../src/api/service.ts';
import { createSwarm } from '../../src/node/create.ts';
import { loadSwarmConfig } from '../../src/node/swarmConfig.ts';
import { StarlingError, type TensorSpec } from '../../src/spec/index.ts';
import { encodeSafetensors } from '../../src/wire/index.ts';

const LAUNCHER = fileURLToPath(new URL('../../scripts/starling.js', import.meta.url));
/** Loopback addresses with a free port. */
export const LISTEN = { tcp: '/ip4/127.0.0.1/tcp/0', quic: '/ip4/127.0.0.1/udp/0/quic-v1' } as const;

/** Ms for a daemon to start on a machine that runs many of them at once. */
const START_MS = 30_000;
/** Ms between looks: short against all that is waited for here. */
const POLL_MS = 20;
/** Characters of a process's log in the message of a failure. */
const TAIL = 3_000;

/** Waits for a condition, not for a time; resolves with what `look` found. After `limitMs` the message names what did not come. */
export async function until<T>(what: () => string, look: () => T | Promise<T>, limitMs = 15_000): Promise<Exclude<NonNullable<T>, false>> {
  const endMs = performance.now() + limitMs;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== null && found !== false) return found as Exclude<NonNullable<T>, false>;
    if (performance.now() > endMs) throw new Error(`not within ${limitMs} ms: ${what()}`);
    await sleep(POLL_MS);
  }
}

/** How a process ended, and all it said. */
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A line of a daemon's log. */
export type LogLine = Readonly<Record<string, unknown>>;

/** A running `starling`. It ends with this process, even by SIGKILL: the launcher sees the channel close. */
export class Starling {
  readonly ended: Promise<Ended>;
  readonly #child: ChildProcess;
  readonly #said = { stdout: '', stderr: '' };

  /** `through` is a command that becomes the command behind it, as `ip netns exec NAME` does. */
  constructor(argv: readonly string[], environment: NodeJS.ProcessEnv = {}, through: readonly string[] = []) {
    const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('STARLING_'));
    const [command, ...rest] = [...through, process.execPath, LAUNCHER, ...argv] as [string, ...string[]];
    this.#child = spawn(command, rest, {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      env: { ...Object.fromEntries(inherited), ...environment },
    });
    for (const name of ['stdout', 'stderr'] as const)
      this.#child[name]?.setEncoding('utf8').on('data', (text: string) => {
        this.#said[name] += text;
      });
    this.ended = new Promise((resolve, reject) => {
      this.#child.once('error', reject);
      this.#child.once('close', (code, signal) => resolve({ code, signal, ...this.#said }));
    });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** The end of what it said to people, for the message of a failure. */
  get tail(): string {
    return this.#said.stderr.slice(-TAIL);
  }

  /** What a daemon has logged so far. */
  get log(): LogLine[] {
    const whole = this.#said.stderr.split('\n').slice(0, -1);
    return whole.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as LogLine);
  }

  /** The first log line with these facts, as soon as it is there. */
  logged(facts: LogLine, limitMs?: number): Promise<LogLine> {
    const fits = (line: LogLine): boolean => Object.entries(facts).every(([name, value]) => line[name] === value);
    return until(
      () => `a log line with ${JSON.stringify(facts)}; there is:\n${this.tail}`,
      () => this.log.find(fits),
      limitMs,
    );
  }

  /** SIGKILL unless told otherwise. Resolves when the process is gone. */
  end(signal: NodeJS.Signals = 'SIGKILL'): Promise<Ended> {
    this.#child.kill(signal);
    return this.ended;
  }
}

/** A daemon that answers. */
export interface Daemon {
  readonly process: Starling;
  readonly data: string;
  readonly client: ApiClient;
  readonly info: NodeInfo;
  /** The first address it can be dialled at. */
  readonly address: string;
}

/** Processes and folders of a test. `end` it in afterEach or after: it leaves nothing behind. */
export class Nest {
  readonly folder = mkdtempSync(join(tmpdir(), 'starling-e2e-'));
  readonly #running = new Set<Starling>();

  /** A data folder of this nest; nothing need be in it. */
  data(name: string): string {
    return join(this.folder, name);
  }

  /** Any `starling` command that goes on. */
  spawn(argv: readonly string[], environment?: NodeJS.ProcessEnv, through?: readonly string[]): Starling {
    const starling = new Starling(argv, environment, through);
    this.#running.add(starling);
    void starling.ended.then(() => this.#running.delete(starling));
    return starling;
  }

  /** Any `starling` command, to its end. */
  run(...argv: readonly string[]): Promise<Ended> {
    return this.spawn(argv).ended;
  }

  /** A daemon's process that may not have started yet, on free ports unless the flags say otherwise. */
  launch(name: string, ...flags: readonly string[]): Starling {
    const listen = flags.includes('--listen') ? [] : ['--listen', LISTEN.tcp];
    const api = flags.includes('--api-port') ? [] : ['--api-port', '0'];
    return this.spawn(['daemon', '--data', this.data(name), ...api, ...listen, ...flags]);
  }

  async daemon(name: string, ...flags: readonly string[]): Promise<Daemon> {
    return await this.ready(name, this.launch(name, ...flags));
  }

  /** Resolves once the daemon that was launched answers. */
  async ready(name: string, starling: Starling, limitMs = START_MS): Promise<Daemon> {
    const data = this.data(name);
    await until(
      () => `daemon ${name} answers; it says:\n${starling.tail}`,
      () => {
        if (!starling.isRunning) throw new Error(`daemon ${name} ended:\n${starling.tail}`);
        // After a kill -9 the file of the process before is still there.
        return readApiFile(data)?.pid === starling.pid;
      },
      limitMs,
    );
    const client = await connect({ data });
    const info = await client.call('node_info');
    return { process: starling, data, client, info, address: info.addresses[0] as string };
  }

  /** A swarm's configuration file: an MLP of 23 parameters and epochs that wait a second at most, unless told otherwise. */
  config(name: string, layers: readonly number[] = [4, 3, 2], ...more: readonly string[]): string {
    const path = join(this.folder, `${name}.toml`);
    const waits = ['epoch_deadline_ms = 1_000', 'min_deadline_ms = 100'];
    const isSaid = (rule: string): boolean => more.some((said) => said.startsWith(rule.slice(0, rule.indexOf('='))));
    const rules = [...more, `name = "${name}"`, ...waits.filter((rule) => !isSaid(rule))];
    writeFileSync(path, [...rules, '[model]', 'kind = "mlp"', `layers = [${layers.join(', ')}]`, ''].join('\n'));
    return path;
  }

  /** Makes the data folder of `name` that of a founder of such a swarm. */
  async found(name: string, layers?: readonly number[], ...more: readonly string[]): Promise<void> {
    await createSwarm(this.data(name), loadSwarmConfig(this.config(name, layers, ...more)));
  }

  async end(): Promise<void> {
    await Promise.all([...this.#running].map((starling) => starling.end()));
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** A TCP port that nothing listens on and that the system gives to nobody who asks for any: Linux takes those from 32768 on. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(20_000, 32_768);
    const server = createServer().listen(port, '127.0.0.1');
    const isFree = await once(server, 'listening').then(
      () => true,
      () => false,
    );
    if (!isFree) continue;
    server.close();
    await once(server, 'close');
    return port;
  }
}

/** An update in which every element is `value`, as safetensors. */
export const updateOf = (tensors: readonly TensorSpec[], value = 0.01): Uint8Array =>
  encodeSafetensors(
    tensors.map(({ name, shape }) => ({ name, shape, values: new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(value) })),
  );

/** Epochs that may end between two requests of a trainer: those of membership entries alone take nobody's time. */
const PASSED_BY = 5;

/** Hands one update for the epoch that is collected to a daemon, as any trainer would: for the next one where that has just ended. */
export async function contribute(client: ApiClient): Promise<Receipt> {
  for (let passed = 0; ; passed++) {
    const [{ epoch }, { tensors }] = await Promise.all([client.call('epoch_current'), client.call('swarm_info')]);
    try {
      return await client.submit({ epoch, kind: 'delta', samples: 10 }, updateOf(tensors));
    } catch (error) {
      if (!(error instanceof StarlingError) || error.code !== 'EPOCH_PAST' || passed === PASSED_BY) throw error;
    }
  }
}

/** Epochs after which an update that was left out of each is taken to be ignored. */
const ATTEMPTS = 5;

/**
 * What comes once an epoch has frozen is left out of it: `submit`, which resolves with the epoch that it handed something in for, is asked
 * again. Resolves with the authors averaged meanwhile, `author` the last to come.
 */
export async function untilAveraged({ client, process }: Daemon, author: string, submit: () => Promise<number>): Promise<string[]> {
  const authors: string[] = [];
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const epoch = await submit();
    await client.call('epoch_wait', { epoch });
    const { roster } = await client.call('epoch_get', { epoch });
    authors.push(...roster.flatMap((one) => (one.weight > 0 ? [one.author] : [])));
    if (authors.includes(author)) return authors;
  }
  throw new Error(`${ATTEMPTS} contributions of ${author} were not averaged; the daemon says:\n${process.tail}`);
}

/** What a daemon is for still works: an update of its own becomes a part of the model. Resolves with the authors averaged. */
export const decide = (daemon: Daemon): Promise<string[]> =>
  untilAveraged(daemon, daemon.info.fingerprint, async () => (await contribute(daemon.client)).epoch);
