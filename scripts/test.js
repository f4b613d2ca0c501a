#!/usr/bin/env node
/**
 * `node scripts/test.js DIRS [DIRS ...] [-- DIRS ...]`: runs the tests below each pattern of directories in a mocha of its own, those of one
 * group at once, groups one after another. Simulations keep one core busy each; what runs real daemons comes in a group by itself. The first of a group
 * is shown as it goes, the others once they end. Exits 1 when any failed.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const MOCHA = fileURLToPath(import.meta.resolve('mocha/bin/mocha.js'));
/** @type {Set<import('node:child_process').ChildProcess>} */
const running = new Set();
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP']))
  process.on(signal, () => {
    for (const child of running) child.kill(signal);
  });

/** @param {string} directories @param {boolean} shown */
async function run(directories, shown) {
  const color = process.stdout.isTTY ? ['--color'] : [];
  const argv = [MOCHA, ...color, `${directories}/**/*.test.ts`];
  const child = spawn(process.execPath, argv, { stdio: ['ignore', shown ? 'inherit' : 'pipe', shown ? 'inherit' : 'pipe'] });
  running.add(child);
  /** @type {Buffer[]} */
  const output = [];
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (/** @type {Buffer} */ data) => output.push(data));
  const [code] = /** @type {[number | null]} */ (await once(child, 'close'));
  running.delete(child);
  process.stdout.write(Buffer.concat(output));
  return code === 0;
}

/** @type {string[][]} */
const groups = [[]];
for (const argument of process.argv.slice(2)) {
  if (argument === '--') groups.push([]);
  else groups.at(-1)?.push(argument);
}
let ok = true;
for (const group of groups) {
  const ended = await Promise.all(group.map((directories, i) => run(directories, i === 0)));
  ok &&= ended.every(Boolean);
}
process.exitCode = ok ? 0 : 1;
