import { writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { loadDataset } from '../../learning/index.ts';
import type { TrainEvent } from '../train/events.ts';
import type { Children } from './children.ts';
import type { Display } from './display.ts';
import { type DemoPlan, daemonArguments, dataOf, layersFor, swarmToml, trainerArguments } from './plan.ts';
import { type NodeProgress, noteEvent } from './progress.ts';
import { type DemoNode, waitForDaemon } from './readiness.ts';

/** Makes the first node's data folder the founder's. Resolves with the layers of the model. */
export async function found(plan: DemoPlan, folder: string): Promise<readonly number[]> {
  const { features, classes } = await loadDataset(plan.dataset);
  const layers = layersFor(features, classes);
  const config = join(folder, 'swarm.toml');
  await writeFile(config, swarmToml(`demo ${basename(plan.dataset)}`, layers, plan.seed));
  const [{ loadSwarmConfig }, { createSwarm }] = await Promise.all([import('../../node/swarmConfig.ts'), import('../../node/create.ts')]);
  await createSwarm(dataOf(folder, 0), loadSwarmConfig(config));
  return layers;
}

/** The first one alone, then all others at once: each is given the first one's address and nothing else. */
export async function startDaemons(
  plan: DemoPlan,
  folder: string,
  children: Children,
  signal: AbortSignal,
  onReady: (node: DemoNode) => void,
): Promise<readonly DemoNode[]> {
  const start = async (index: number, bootstrap: string | undefined): Promise<DemoNode> => {
    children.start({ name: `node ${index}`, arguments: daemonArguments(plan, folder, index, bootstrap), folder, outlives: plan.keep });
    const node = await waitForDaemon(index, dataOf(folder, index), signal);
    onReady(node);
    return node;
  };
  const founder = await start(0, undefined);
  const others = Array.from({ length: plan.nodes - 1 }, (_, i) => start(i + 1, founder.info.addresses[0]));
  return [founder, ...(await Promise.all(others))];
}

/** The trainer of daemon `index`. Resolves when it is done. */
export function startTrainer(
  plan: DemoPlan,
  folder: string,
  children: Children,
  index: number,
  progress: NodeProgress,
  display: Display,
): Promise<void> {
  const onMessage = (message: unknown): void => {
    const event = message as TrainEvent;
    noteEvent(progress, event);
    if (event.kind === 'late') display.line(`node ${index}: epoch ${event.epoch} went on without its update: ${event.reason}`);
    display.refresh();
  };
  return children.start({
    name: `trainer ${index}`,
    arguments: trainerArguments(plan, folder, index),
    folder,
    outlives: false,
    onMessage,
  }).ended;
}
