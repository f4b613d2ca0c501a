import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { until } from '../support/daemons.ts';

const SCRIPT = fileURLToPath(new URL('../../scripts/hosts.sh', import.meta.url));
const run = promisify(execFile);

/** A process whose input and output are lines. */
class Talker {
  readonly child: ChildProcess;
  heard = '';

  constructor(command: string, ...argv: readonly string[]) {
    this.child = spawn(command, argv, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.heard += text;
    });
  }

  say(line: string): void {
    this.child.stdin?.write(`${line}\n`);
  }

  hears(line: string): Promise<unknown> {
    return until(
      () => `"${line}" is heard; there is: ${this.heard}`,
      () => this.heard.includes(`${line}\n`),
    );
  }

  get isRunning(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }
}

describe('scripts/hosts.sh', function () {
  this.timeout(30_000);
  let nets: string[] = [];
  const fresh = (): string => {
    const net = `test${randomBytes(4).toString('hex')}`;
    nets.push(net);
    return net;
  };
  const hosts = (...argv: readonly string[]): Promise<unknown> => run('bash', [SCRIPT, ...argv]);
  const on = (net: string, host: number, ...command: readonly string[]): Talker =>
    new Talker('bash', SCRIPT, net, 'exec', String(host), ...command);
  const spaces = (net: string): string[] => readdirSync('/run/netns').filter((name) => name.startsWith(`${net}-`));
  /** What the kernel tells of a host's interface. */
  const link = async (net: string, host: number, fact: 'carrier' | 'carrier_down_count'): Promise<string> =>
    (await run('bash', [SCRIPT, net, 'exec', String(host), 'cat', `/sys/class/net/eth0/${fact}`])).stdout.trim();

  /** On this host every connection to port 7 says again what it is told. */
  async function echo(net: string, host: number): Promise<void> {
    const server = on(net, host, process.execPath, '-e', 'net.createServer((s) => s.pipe(s)).listen(7, () => console.log("listens"))');
    await server.hears('listens');
  }
  /** A connection from one host to the echo on another. */
  async function connection(net: string, from: number, to: number): Promise<Talker> {
    const line = on(net, from, 'bash', '-c', `exec 3<>/dev/tcp/10.77.0.${to}/7; cat <&3 & cat >&3`);
    line.say('hello');
    await line.hears('hello');
    return line;
  }

  afterEach(async () => {
    for (const net of nets) {
      await hosts(net, 'down');
      assert.deepEqual(spaces(net), []);
    }
    nets = [];
  });

  it('splits hosts in groups without telling them, and what was on its way arrives after the heal', async () => {
    const net = fresh();
    await hosts(net, 'up', '4');
    await echo(net, 2);
    const [near, far] = [await connection(net, 1, 2), await connection(net, 3, 2)];
    await hosts(net, 'split', '1,2', '3,4');
    far.say('lost?');
    near.say('near');
    await near.hears('near');
    assert.ok(!far.heard.includes('lost?'), 'a split host was heard');
    assert.ok(far.isRunning, 'the split was told');
    assert.equal(await link(net, 3, 'carrier'), '1');

    await echo(net, 4);
    await connection(net, 3, 4);
    await hosts(net, 'heal');
    await far.hears('lost?');
  });

  it('cuts one host off in silence', async () => {
    const net = fresh();
    await hosts(net, 'up', '3');
    await echo(net, 2);
    const [near, far] = [await connection(net, 1, 2), await connection(net, 3, 2)];
    await hosts(net, 'cut', '3');
    far.say('lost?');
    near.say('near');
    await near.hears('near');
    assert.ok(!far.heard.includes('lost?') && far.isRunning);
    assert.equal(await link(net, 3, 'carrier'), '1');
    await hosts(net, 'heal');
    await far.hears('lost?');
  });

  it('flaps a cable: the carrier goes and comes, and the network is whole afterwards', async () => {
    const net = fresh();
    await hosts(net, 'up', '2');
    const lost = Number(await link(net, 2, 'carrier_down_count'));
    await hosts(net, 'flap', '2', '3', '0.05');
    assert.equal(Number(await link(net, 2, 'carrier_down_count')), lost + 3);
    assert.equal(await link(net, 2, 'carrier'), '1');
    await echo(net, 2);
    await connection(net, 1, 2);
  });

  it('ends what it started and nothing else', async () => {
    const [one, other] = [fresh(), fresh()];
    await Promise.all([hosts(one, 'up', '2'), hosts(other, 'up', '2')]);
    const sleepers = [on(one, 1, 'sleep', '1000'), on(one, 2, 'sleep', '1000'), on(other, 1, 'sleep', '1000')] as const;
    await until(
      () => 'all three sleep on their hosts',
      () => sleepers.every(({ child }) => readFileSync(`/proc/${child.pid}/cmdline`, 'utf8').startsWith('sleep')),
    );
    const own = sleepers.slice(0, 2).map(({ child }) => once(child, 'close'));
    await hosts(one, 'down');
    await Promise.all(own);
    assert.deepEqual(spaces(one), []);
    assert.deepEqual(spaces(other).sort(), [`${other}-1`, `${other}-2`, `${other}-switch`]);
    assert.ok(sleepers[2].isRunning);
    assert.notEqual(readlinkSync(`/proc/${sleepers[2].child.pid}/ns/net`), readlinkSync('/proc/self/ns/net'));
  });

  it('holds hosts only as long as whoever asked for them lives', async () => {
    const net = fresh();
    // The pipe's other end is held by this process alone, so that its kill is the end of the input.
    const caller = new Talker(
      process.execPath,
      '-e',
      'child_process.spawn("bash", process.argv.slice(1), { stdio: ["pipe", "inherit", "inherit"] })',
      SCRIPT,
      net,
      'hold',
      '2',
    );
    await caller.hears('up');
    assert.equal(spaces(net).length, 3);
    caller.child.kill('SIGKILL');
    await until(
      () => `nothing is left: ${spaces(net)}`,
      () => spaces(net).length === 0,
    );
  });

  it('refuses a name that is taken, a host that is not there, and says what is missing', async () => {
    const net = fresh();
    await hosts(net, 'up', '2');
    await assert.rejects(hosts(net, 'up', '2'), /a network \w+ is there already/);
    await assert.rejects(hosts(net, 'hold', '2'), /a network \w+ is there already/);
    assert.equal(spaces(net).length, 3, 'a refusal took the network down');
    await assert.rejects(hosts(net, 'cut', '3'), /there is no host 3/);
    await assert.rejects(hosts(net, 'split', '1,x', '2'), /there is no host x/);
    await assert.rejects(hosts(fresh(), 'up', '0'), /hosts are 1 to 99/);
    await assert.rejects(hosts('../etc', 'up', '2'), /hosts\.sh NET up N/);
    for (const capability of ['sys_admin', 'net_admin'])
      await assert.rejects(
        run('setpriv', ['--bounding-set', `-${capability}`, '--inh-caps', `-${capability}`, 'bash', SCRIPT, fresh(), 'up', '2']),
        /no network namespaces here.*CAP_SYS_ADMIN/,
      );
  });
});
