import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, type StdioOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { findEntry, findPinnedNode, LaunchError, MINIMUM_NODE } from '../../../scripts/launch.js';

const REPOSITORY = fileURLToPath(new URL('../../../', import.meta.url));

/** Prints what it got once its handlers stand. The exit code tells which signal ended it; `default` leaves signals to Node. */
const ENTRY = `
export async function main(argv: string[]) {
  const report = () => console.log(JSON.stringify({ argv, pid: process.pid, version: process.versions.node }));
  if (argv[0] === 'exit') { report(); return Number(argv[1]); }
  if (argv[0] === 'die') process.kill(process.pid, 'SIGKILL');
  return await new Promise<number>((resolve) => {
    const timer = setInterval(() => {}, 1000);
    const end = (code: number) => () => { console.log('ended ' + code); clearInterval(timer); resolve(code); };
    if (argv[0] === 'wait') process.once('SIGTERM', end(40)).once('SIGINT', end(41)).once('SIGHUP', end(42));
    report();
  });
}
`;

/** Runs the child half of the launcher under this same Node, so that the path of an old Node is tested without one. */
const FORCED = `
import { fileURLToPath } from 'node:url';
import { runChild } from './launch.js';
runChild(process.execPath, [fileURLToPath(new URL('starling.js', import.meta.url)), ...process.argv.slice(2)]);
`;

/** The first Node on PATH that is too old to run Starling itself, if this machine has one. */
function findOldNode(): string | undefined {
  const onPath = (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, 'node'));
  return onPath.filter((path) => existsSync(path)).find((path) => majorOf(path) < MINIMUM_NODE);
}

const majorOf = (node: string): number => Number.parseInt(execFileSync(node, ['-p', 'process.versions.node'], { encoding: 'utf8' }), 10);

describe('launcher', () => {
  let folder: string;
  const started: ChildProcess[] = [];

  function start(node: string, script: string, args: readonly string[], stdio: StdioOptions = ['ignore', 'pipe', 'pipe']): ChildProcess {
    const env = { ...process.env, XDG_CACHE_HOME: join(folder, 'cache') };
    const child = spawn(node, [join(folder, 'scripts', script), ...args], { stdio, env });
    started.push(child);
    return child;
  }

  async function finish(child: ChildProcess): Promise<{ code: number | null; signal: string | null; out: string; err: string }> {
    const exited = once(child, 'exit');
    const [out, err] = await Promise.all([child.stdout, child.stderr].map((stream) => (stream ? text(stream) : '')));
    const [code, signal] = await exited;
    return { code, signal, out: out ?? '', err: err ?? '' };
  }

  /** The entry's first line: it runs, and its handlers stand. */
  async function report(child: ChildProcess): Promise<{ argv: string[]; pid: number; version: string }> {
    assert(child.stdout);
    const [chunk] = await once(child.stdout, 'data');
    return JSON.parse(String(chunk));
  }

  beforeEach(() => {
    folder = realpathSync(mkdtempSync(join(tmpdir(), 'starling-launcher-')));
    mkdirSync(join(folder, 'scripts'));
    mkdirSync(join(folder, 'src/cli'), { recursive: true });
    writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
    for (const name of ['starling.js', 'launch.js']) copyFileSync(join(REPOSITORY, 'scripts', name), join(folder, 'scripts', name));
    writeFileSync(join(folder, 'scripts/forced.js'), FORCED);
    writeFileSync(join(folder, 'src/cli/main.ts'), ENTRY);
    symlinkSync(join(REPOSITORY, 'node_modules'), join(folder, 'node_modules'));
  });

  afterEach(() => {
    for (const child of started.splice(0)) child.kill('SIGKILL');
    rmSync(folder, { recursive: true });
  });

  it('runs the entry here on a Node that is new enough, with its arguments and exit code', async () => {
    const child = start(process.execPath, 'starling.js', ['exit', '7', '--json', 'a b']);
    const { code, out } = await finish(child);
    assert.equal(code, 7);
    assert.deepEqual(JSON.parse(out), {
      argv: ['exit', '7', '--json', 'a b'],
      pid: child.pid,
      version: process.versions.node,
    });
  });

  it('keeps compiled code in the cache folder of the user', async () => {
    await finish(start(process.execPath, 'starling.js', ['exit', '0']));
    assert(existsSync(join(folder, 'cache/starling/compile')));
  });

  it('starts without a cache folder it can write', async () => {
    writeFileSync(join(folder, 'cache'), 'a file where the folder should be');
    assert.equal((await finish(start(process.execPath, 'starling.js', ['exit', '0']))).code, 0);
  });

  it('finds src in a clone, dist where src is not, and says how to get one where neither is', () => {
    const root = pathToFileURL(`${folder}/`);
    mkdirSync(join(folder, 'dist/cli'), { recursive: true });
    writeFileSync(join(folder, 'dist/cli/main.js'), '');
    assert.equal(fileURLToPath(findEntry(root)), join(folder, 'src/cli/main.ts'));
    rmSync(join(folder, 'src'), { recursive: true });
    assert.equal(fileURLToPath(findEntry(root)), join(folder, 'dist/cli/main.js'));
    rmSync(join(folder, 'dist'), { recursive: true });
    assert.throws(() => findEntry(root), { constructor: LaunchError, message: /npm run build/ });
  });

  it('names the missing package and the fix when the pinned Node is not installed', () => {
    const root = pathToFileURL(`${folder}/`);
    assert.throws(() => findPinnedNode(root, 'node-plan9-x64'), { constructor: LaunchError, message: /node-plan9-x64.*Fix: npm ci/ });
  });

  it('says so when the pinned binary cannot be run', async () => {
    const script = FORCED.replace('process.execPath', JSON.stringify(join(folder, 'package.json')));
    writeFileSync(join(folder, 'scripts/forced.js'), script);
    const { code, err } = await finish(start(process.execPath, 'forced.js', []));
    assert.equal(code, 1);
    assert.match(err, /starling: cannot run .*package\.json: .*EACCES.*Fix:/);
  });

  it("hands on a child's exit code", async () => {
    const { code } = await finish(start(process.execPath, 'forced.js', ['exit', '7']));
    assert.equal(code, 7);
  });

  it('dies by the signal that killed the child, so that a shell sees it', async () => {
    const { code, signal } = await finish(start(process.execPath, 'forced.js', ['die']));
    assert.deepEqual([code, signal], [null, 'SIGKILL']);
  });

  for (const [signal, expected] of [
    ['SIGTERM', 40],
    ['SIGINT', 41],
    ['SIGHUP', 42],
  ] as const) {
    it(`passes ${signal} on and lets the child end in its own way`, async () => {
      const child = start(process.execPath, 'forced.js', ['wait']);
      const { pid } = await report(child);
      assert.notEqual(pid, child.pid);
      child.kill(signal);
      const { code } = await finish(child);
      assert.equal(code, expected);
    });
  }

  it('ends by SIGTERM when the child does', async () => {
    const child = start(process.execPath, 'forced.js', ['default']);
    await report(child);
    child.kill('SIGTERM');
    assert.equal((await finish(child)).signal, 'SIGTERM');
  });

  it('a launcher killed with SIGKILL takes the child along, in its own orderly way', async () => {
    const child = start(process.execPath, 'forced.js', ['wait']);
    await report(child);
    child.kill('SIGKILL');
    // The child inherited stdout, so its end closes the pipe; that it was orderly shows in what it wrote last.
    const { out, signal } = await finish(child);
    assert.deepEqual([signal, out.trim()], ['SIGKILL', 'ended 40']);
  });

  it('a process spawned with an IPC channel ends when its parent lets go', async () => {
    const child = start(process.execPath, 'starling.js', ['default'], ['ignore', 'pipe', 'pipe', 'ipc']);
    await report(child);
    child.disconnect();
    assert.equal((await finish(child)).signal, 'SIGTERM');
  });

  it('an IPC channel does not keep a finished command alive', async () => {
    const child = start(process.execPath, 'starling.js', ['exit', '0'], ['ignore', 'pipe', 'pipe', 'ipc']);
    assert.equal((await finish(child)).code, 0);
  });

  const oldNode = findOldNode();
  if (oldNode !== undefined) {
    it(`on Node ${majorOf(oldNode)} runs the pinned Node instead`, async () => {
      const { code, out } = await finish(start(oldNode, 'starling.js', ['exit', '3']));
      assert.equal(code, 3);
      const pinned = JSON.parse(readFileSync(join(REPOSITORY, 'node_modules', pinnedPackage(), 'package.json'), 'utf8')).version;
      assert.equal(JSON.parse(out).version, pinned);
    });

    it(`on Node ${majorOf(oldNode)} without the pinned Node says what to do`, async () => {
      rmSync(join(folder, 'node_modules'));
      const { code, err } = await finish(start(oldNode, 'starling.js', ['exit', '0']));
      assert.equal(code, 1);
      assert.match(err, new RegExp(`needs Node ${MINIMUM_NODE}.*${pinnedPackage()}.*Fix: npm ci`));
    });
  }
});

const pinnedPackage = (): string => `node-${process.platform}-${process.arch}`;
