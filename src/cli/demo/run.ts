import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { asStarlingError } from '../../spec/index.ts';
import type { CliContext } from '../context.ts';
import { short } from '../table.ts';
import { Children } from './children.ts';
import { Display } from './display.ts';
import { monitor, sentBytes } from './monitor.ts';
import type { DemoPlan } from './plan.ts';
import { found, startDaemons, startTrainer } from './processes.ts';
import { type NodeProgress, newProgress } from './progress.ts';
import { type DemoNode, waitForPeers } from './readiness.ts';
import { allEqual, type DemoResult, describeResult, type NodeResult, type Roots, resultOf } from './result.ts';

/** Ms after the last epoch in which a node may still be adopting the others' decision. */
const SETTLE_MS = 5_000;
const SETTLE_POLL_MS = 100;
/** Ms from a broken connection to the news that the process behind it ended. */
const REASON_MS = 500;

/** Runs the whole demo and cleans up after it, however it ends. */
export async function runDemo(plan: DemoPlan, context: CliContext): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'starling-demo-'));
  const children = new Children();
  const over = new AbortController();
  const signal = AbortSignal.any([context.signal, over.signal]);
  let kept = false;
  try {
    const acting = act(plan, context, folder, children, signal);
    const result = await Promise.race([children.failure, acting]).catch((error) => reasonOf(error, children));
    context.failed = !result.equal;
    kept = plan.keep;
  } finally {
    over.abort();
    if (kept) children.release();
    else {
      await children.stop();
      await rm(folder, { recursive: true, force: true });
    }
  }
}

/** A call to a daemon that has just ended fails a moment before its end is known, and that says more. Always throws. */
async function reasonOf(error: unknown, children: Children): Promise<never> {
  await Promise.race([children.failure, sleep(REASON_MS)]);
  throw error;
}

async function act(plan: DemoPlan, context: CliContext, folder: string, children: Children, signal: AbortSignal): Promise<DemoResult> {
  const start = performance.now();
  const progress = Array.from({ length: plan.nodes }, newProgress);
  const display = new Display(context.output, progress, () => performance.now());
  const since = (): string => `${((performance.now() - start) / 1000).toFixed(1)} s`;

  const layers = await found(plan, folder);
  display.line(
    `${plan.nodes} nodes learn ${plan.dataset} (${layers.join('-')}, alpha ${plan.alpha}, seed ${plan.seed}) over ${plan.transport}`,
  );
  const nodes = await startDaemons(plan, folder, children, signal, (node) =>
    display.line(`node ${node.index}  ${short(node.info.fingerprint)}  ${node.client.url}`),
  );
  await waitForPeers(nodes, signal);
  display.line(`all know each other after ${since()}`);

  const sentBefore = await Promise.all(nodes.map(sentBytes));
  const trainers = progress.map((node, i) => startTrainer(plan, folder, children, i, node, display));
  await untilDone(trainers, nodes, progress, display, signal);
  display.refresh(true);

  // Trainers may have begun an epoch apart, where one closed on joins alone: the last one that all took part in.
  const last = Math.min(...progress.map(({ report }) => report?.lastEpoch ?? 0));
  const roots = await settledRoots(nodes, last, signal);
  const sentAfter = await Promise.all(nodes.map(sentBytes));
  const results = nodes.map((node, i): NodeResult => {
    const report = progress[i]?.report;
    const [before, after] = [sentBefore[i] ?? null, sentAfter[i] ?? null];
    return {
      fingerprint: node.info.fingerprint,
      aloneAccuracy: report?.aloneAccuracy ?? 0,
      accuracy: report?.accuracy ?? 0,
      samples: report?.samples ?? 0,
      bytesPerEpoch: before === null || after === null ? null : Math.round((after - before) / plan.epochs),
      ...(roots[i] as Roots),
    };
  });
  const result = resultOf(plan, results, (performance.now() - start) / 1000);
  context.output.result(result);
  context.output.text(describeResult(result, last));
  if (plan.keep) context.output.text(describeKept(nodes, folder));
  return result;
}

/** Shows the nodes until every trainer is done. */
async function untilDone(
  trainers: readonly Promise<void>[],
  nodes: readonly DemoNode[],
  progress: readonly NodeProgress[],
  display: Display,
  signal: AbortSignal,
): Promise<void> {
  const done = new AbortController();
  const watching = monitor(nodes, progress, display, AbortSignal.any([signal, done.signal]));
  try {
    await Promise.race([Promise.all(trainers), watching]);
  } finally {
    done.abort();
    await watching.catch(() => {}); // its failure, if it had one, is already on its way
  }
}

/** Each node's roots at `epoch`; waits a little for them to be equal, and answers what they are then. */
async function settledRoots(nodes: readonly DemoNode[], epoch: number, signal: AbortSignal): Promise<readonly Roots[]> {
  const start = performance.now();
  for (;;) {
    const roots = await Promise.all(nodes.map((node) => rootsAt(node, epoch)));
    if (allEqual(roots) || performance.now() - start > SETTLE_MS) return roots;
    await sleep(SETTLE_POLL_MS, undefined, { signal });
  }
}

async function rootsAt({ client }: DemoNode, epoch: number): Promise<Roots> {
  try {
    const { modelRoot, treeRoot } = await client.call('epoch_get', { epoch });
    return { modelRoot, treeRoot };
  } catch (error) {
    if (asStarlingError(error).code === 'NOT_FOUND') return { modelRoot: '', treeRoot: '' };
    throw error;
  }
}

const describeKept = (nodes: readonly DemoNode[], folder: string): string =>
  [
    '',
    'The daemons go on. Talk to them:',
    ...nodes.map(({ data }) => `  starling status --data ${data}`),
    'End them, then remove their data:',
    ...nodes.map(({ data }) => `  starling rpc node_shutdown --data ${data}`),
    `  rm -r ${folder}`,
  ].join('\n');
