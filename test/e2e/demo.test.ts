import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { DemoResult } from '../../src/cli/demo/result.ts';

const LAUNCHER = fileURLToPath(new URL('../../scripts/starling.js', import.meta.url));
/** Ms. Real processes on a machine that may be busy. */
const LIMIT_MS = 120_000;

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

describe('starling demo', function () {
  this.timeout(LIMIT_MS);
  let folder = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'starling-demo-e2e-'));
  });
  afterEach(() => {
    for (const pid of left()) process.kill(pid, 'SIGKILL');
    rmSync(folder, { recursive: true });
  });

  /** Every process whose command line names this test's folder: the demo puts its data there. */
  const left = (match = ''): number[] =>
    readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name) && commandLine(name).includes(folder) && commandLine(name).includes(match))
      .map(Number);
  const noneLeft = () =>
    eventually(
      async () => left().length === 0,
      () =>
        `left behind: ${left()
          .map((pid) => commandLine(String(pid)))
          .join('; ')}`,
    );

  const start = (...flags: string[]): { child: ChildProcess; ended: Promise<Ended>; says: (text: RegExp) => Promise<void> } => {
    const child = spawn(process.execPath, [LAUNCHER, 'demo', '--nodes', '3', ...flags], {
      env: { ...process.env, TMPDIR: folder },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const said = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const)
      child[name]?.on('data', (chunk) => {
        said[name] += String(chunk);
      });
    const ended = new Promise<Ended>((resolve) => child.once('close', (code) => resolve({ code, ...said })));
    return {
      child,
      ended,
      says: (text) =>
        eventually(
          async () => text.test(said.stdout),
          () => `${text} was not said: ${said.stdout}${said.stderr}`,
        ),
    };
  };

  it('ends with equal roots on every node, prints one document, and leaves nothing behind', async () => {
    const { code, stdout, stderr } = await start('--epochs', '3', '--json').ended;
    assert.equal(code, 0, stderr);
    const result = JSON.parse(stdout) as DemoResult;
    assert.deepEqual([result.dataset, result.seed, result.epochs, result.equal, result.nodes.length], ['digits', 1, 3, true, 3]);
    for (const node of result.nodes) {
      assert.match(node.fingerprint, /^[0-9a-f]{64}$/);
      assert.deepEqual([node.modelRoot, node.treeRoot], [result.nodes[0]?.modelRoot, result.nodes[0]?.treeRoot]);
      assert.ok((node.bytesPerEpoch ?? 0) > 1_000, `${node.bytesPerEpoch} bytes`);
      assert.equal(node.samples, 479);
      assert.equal(node.accuracy, result.swarmAccuracy);
    }
    assert.equal(new Set(result.nodes.map(({ fingerprint }) => fingerprint)).size, 3);
    assert.ok(result.swarmAccuracy > 0.6, `${result.swarmAccuracy}`);
    assert.deepEqual(readdirSync(folder), []);
    await noneLeft();
  });

  it('ends every child on Ctrl-C, and removes their data', async () => {
    const demo = start('--epochs', '1000');
    await demo.says(/^ +2 /m);
    assert.equal(left('--data').length, 6);
    demo.child.kill('SIGINT');
    assert.equal((await demo.ended).code, 1);
    assert.deepEqual(left(), []);
    assert.deepEqual(readdirSync(folder), []);
  });

  it('ends every child when it is killed itself', async () => {
    const demo = start('--epochs', '1000');
    await demo.says(/^ +2 /m);
    demo.child.kill('SIGKILL');
    await demo.ended;
    await noneLeft();
  });

  it('names the daemon that died, and ends the others', async () => {
    const demo = start('--epochs', '1000');
    await demo.says(/^ +2 /m);
    process.kill(left('node1')[0] as number, 'SIGKILL');
    const { code, stderr } = await demo.ended;
    assert.equal(code, 1);
    assert.match(stderr, /DAEMON_DOWN: node 1 was ended by SIGKILL/);
    assert.deepEqual(left(), []);
  });

  it('leaves the daemons running with --keep, and says how to talk to them', async () => {
    const { code, stdout, stderr } = await start('--epochs', '2', '--keep').ended;
    assert.equal(code, 0, stderr);
    assert.equal(left('daemon').length, 3);
    assert.equal(left('train').length, 0);
    const commands = [...stdout.matchAll(/^ {2}starling (.*)$/gm)].map(([, line]) => (line as string).split(' '));
    assert.equal(commands.length, 6);
    for (const command of commands) assert.equal(await exitCode(command), 0, command.join(' '));
    await noneLeft();
  });
});

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return ''; // it has just ended
  }
}

const exitCode = (command: string[]): Promise<number | null> =>
  new Promise((resolve) => spawn(process.execPath, [LAUNCHER, ...command], { stdio: 'ignore' }).once('close', resolve));

async function eventually(condition: () => Promise<boolean>, explain: () => string): Promise<void> {
  const start = performance.now();
  while (!(await condition())) {
    if (performance.now() - start > LIMIT_MS / 2) assert.fail(explain());
    await sleep(50);
  }
}
