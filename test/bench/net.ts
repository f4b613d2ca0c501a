import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const SCRIPT = fileURLToPath(new URL('../../scripts/hosts.sh', import.meta.url));

/** Hosts 0..n-1 with a network of their own (scripts/hosts.sh); they end with this process, however it ends. */
export class Net {
  readonly #name = `bench${randomBytes(4).toString('hex')}`;
  readonly #holder;

  private constructor(count: number) {
    this.#holder = spawn('bash', [SCRIPT, this.#name, 'hold', String(count)], { stdio: ['pipe', 'pipe', 'pipe'], detached: true });
  }

  /** Throws what is missing where the system lets nobody make any: root, iproute2. */
  static async open(count: number): Promise<Net> {
    const net = new Net(count);
    let said = '';
    net.#holder.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    const isUp = await Promise.race([once(net.#holder.stdout, 'data').then(() => true), once(net.#holder, 'close').then(() => false)]);
    if (!isUp) throw new Error(said.trim());
    return net;
  }

  /** The command that runs another on a host. */
  through(host: number): readonly string[] {
    return ['bash', SCRIPT, this.#name, 'exec', String(host + 1)];
  }

  address(host: number): string {
    return `10.77.0.${host + 1}`;
  }

  /** What the host sends passes no faster than this, e.g. `100mbit`. */
  async rate(host: number, rate: string): Promise<void> {
    await promisify(execFile)('bash', [SCRIPT, this.#name, 'rate', String(host + 1), rate]);
  }

  async close(): Promise<void> {
    const closed = once(this.#holder, 'close');
    this.#holder.stdin.end();
    await closed;
  }
}
