#!/usr/bin/env node
/**
 * `npm run -s votes -- [--epochs N] [--seed N]`: committees vote on N blocks in virtual time, under partitions, crashes, losses
 * and liars. Prints what was run and what came of it; exits 1 when an invariant breaks, naming the seeds.
 */
import { parseArgs } from 'node:util';
import { FINISH_MS, runCampaign } from '../src/simulation/votes/index.ts';

/** Share of the heights after the last fault of a run that must have a block with something in it. */
const LEAST_NON_EMPTY = 0.95;
/** Failing seeds that are named. */
const NAMED = 10;

/** @param {string} name @param {string} value */
function wholeNumber(name, value) {
  const number = Number(value);
  if (Number.isSafeInteger(number) && number >= 1) return number;
  console.error(`votes: --${name} is a whole number from 1, not ${value}`);
  process.exit(2);
}

const { values } = parseArgs({ options: { epochs: { type: 'string', default: '100000' }, seed: { type: 'string', default: '1' } } });
const startMs = performance.now();
const summary = runCampaign({ epochs: wholeNumber('epochs', values.epochs), firstSeed: wholeNumber('seed', values.seed) });
const wallS = (performance.now() - startMs) / 1_000;

const share = summary.healed === 0 ? 1 : summary.nonEmpty / summary.healed;
const ok = summary.conflicts === 0 && summary.unfinished === 0 && share >= LEAST_NON_EMPTY;
const sizes = [...summary.sizes].sort(([a], [b]) => a - b).map(([nodes, runs]) => `${runs} with ${nodes}`);
const lines = [
  ['seeds', `${summary.firstSeed} to ${summary.firstSeed + summary.runs - 1}`],
  ['nodes', `runs: ${sizes.join(', ')}`],
  ['faults', `${summary.withFaults} runs; f liars in ${summary.withLiars} runs`],
  ['epochs', `${summary.epochs}`],
  ['conflicts', `${summary.conflicts}`],
  ['unfinished', `${summary.unfinished} runs (a height later than ${FINISH_MS / 1_000} virtual s after the last fault)`],
  ['slowest', `${(summary.slowestMs / 1_000).toFixed(1)} virtual s; highest round ${summary.highestRound}`],
  ['non-empty', `${(100 * share).toFixed(2)}% of ${summary.healed} heights after the last fault`],
  ['wall', `${wallS.toFixed(1)} s`],
];
for (const [name, text] of lines) console.log(`${name?.padEnd(11)}${text}`);
if (!ok) {
  if (summary.failingSeeds.length > 0) console.error(`votes: failing seeds ${summary.failingSeeds.slice(0, NAMED).join(', ')}`);
  process.exitCode = 1;
}
