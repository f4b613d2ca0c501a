import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type Daemon, freePort, type Nest, type Starling } from './daemons.ts';

const SCRIPT = fileURLToPath(new URL('../../scripts/hosts.sh', import.meta.url));
const DOOR = fileURLToPath(new URL('./hostsDoor.ts', import.meta.url));
/** Of every daemon: each host has an address of its own. */
const PORT = 4_001;

/**
 * Hosts 0..n-1 with a network of their own (scripts/hosts.sh), and the daemons of a nest on them. The hosts end with this
 * process, however it ends. A daemon's API is reachable from here as always: `daemon.client`.
 */
export class Hosts {
  readonly #nest: Nest;
  readonly #net = `starling${randomBytes(4).toString('hex')}`;
  readonly #holder: ChildProcess;
  readonly #doors: { readonly process: ChildProcess; readonly port: number }[] = [];

  private constructor(nest: Nest, count: number) {
    this.#nest = nest;
    // Detached: Ctrl-C is for the tests; the holder goes once they are gone and their end of its input is closed.
    this.#holder = spawn('bash', [SCRIPT, this.#net, 'hold', String(count)], { stdio: ['pipe', 'pipe', 'pipe'], detached: true });
  }

  /** Makes `count` hosts that all hear each other. Throws what is missing where the system lets nobody make any. */
  static async open(nest: Nest, count: number): Promise<Hosts> {
    const hosts = new Hosts(nest, count);
    try {
      await hosts.#isUp();
      for (let host = 0; host < count; host++) await hosts.#openDoor(host);
      return hosts;
    } catch (error) {
      await hosts.close();
      throw error;
    }
  }

  async #isUp(): Promise<void> {
    let said = '';
    this.#holder.stderr?.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    const ended = once(this.#holder, 'close').then(([code]) => {
      throw new Error(`no hosts for this test (exit code ${code}): ${said}`);
    });
    // Once up, its end is what close() asks for.
    ended.catch(() => undefined);
    await Promise.race([once(this.#holder.stdout as NodeJS.ReadableStream, 'data'), ended]);
  }

  /** Hands a socket that listens here to a process there. */
  async #openDoor(host: number): Promise<void> {
    const port = await freePort();
    const server = createServer().listen(port, '127.0.0.1');
    await once(server, 'listening');
    const [command, ...rest] = [...this.through(host), process.execPath, DOOR] as const;
    const door = spawn(command, rest, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    this.#doors.push({ process: door, port });
    await promisify((done: (error: Error | null) => void) => door.send(port, server, undefined, done))();
    server.close();
  }

  /** The command that runs another on a host. */
  through(host: number): readonly [string, ...string[]] {
    return ['bash', SCRIPT, this.#net, 'exec', String(host + 1)];
  }

  /** IPv4 address. */
  address(host: number): string {
    return `10.77.0.${host + 1}`;
  }

  /** Where a daemon on this host listens. */
  multiaddr(host: number): string {
    return `/ip4/${this.address(host)}/tcp/${PORT}`;
  }

  /** Name of the host's data folder in the nest. */
  name(host: number): string {
    return `host${host}`;
  }

  /** Starts the daemon of a host and resolves once it answers; after a kill it comes back at the same addresses. */
  daemon(host: number, ...flags: readonly string[]): Promise<Daemon> {
    return this.daemonWith(host, {}, ...flags);
  }

  /** The same in another environment. */
  daemonWith(host: number, environment: NodeJS.ProcessEnv, ...flags: readonly string[]): Promise<Daemon> {
    const name = this.name(host);
    const listen = ['--listen', this.multiaddr(host), '--api-port', String(this.#doors[host]?.port)];
    const argv = ['daemon', '--data', this.#nest.data(name), ...listen, ...flags];
    return this.#nest.ready(name, this.#nest.spawn(argv, environment, this.through(host)));
  }

  /** A `starling train` beside the daemon of a host. */
  trainer(host: number, ...flags: readonly string[]): Starling {
    return this.#nest.spawn(['train', '--data', this.#nest.data(this.name(host)), ...flags], {}, this.through(host));
  }

  /** Hosts hear only those of their own group, and nobody is told: packets vanish. */
  async partition(groups: readonly (readonly number[])[]): Promise<void> {
    await this.#do('split', ...groups.map((group) => group.map((host) => host + 1).join(',')));
  }

  /** Nobody hears this host, nor it anybody; nobody is told. */
  async cut(host: number): Promise<void> {
    await this.#do('cut', String(host + 1));
  }

  /** What this host sends passes no faster, e.g. `10mbit`. */
  async rate(host: number, rate: string): Promise<void> {
    await this.#do('rate', String(host + 1), rate);
  }

  /** Everybody hears everybody again. */
  async heal(): Promise<void> {
    await this.#do('heal');
  }

  /** Pulls a host's cable out for `ms` and puts it back for `ms`, `times` over; the host sees its carrier go. */
  async flap(host: number, times: number, ms: number): Promise<void> {
    await this.#do('flap', String(host + 1), String(times), String(ms / 1_000));
  }

  async #do(verb: string, ...rest: readonly string[]): Promise<void> {
    await promisify(execFile)('bash', [SCRIPT, this.#net, verb, ...rest]);
  }

  /** Ends all that runs on the hosts, and the hosts. */
  async close(): Promise<void> {
    const ending = [this.#holder, ...this.#doors.map(({ process }) => process)].filter(isRunning).map((child) => once(child, 'close'));
    this.#holder.stdin?.end();
    for (const { process } of this.#doors) process.kill('SIGKILL');
    await Promise.all(ending);
  }
}

const isRunning = (child: ChildProcess): boolean => child.exitCode === null && child.signalCode === null;
