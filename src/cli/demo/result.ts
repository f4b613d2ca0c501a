import { short, table } from '../table.ts';
import type { DemoPlan } from './plan.ts';

export interface NodeResult {
  readonly fingerprint: string;
  /** Held-out accuracy of its own training without the swarm, 0..1. */
  readonly aloneAccuracy: number;
  /** Held-out accuracy of the model it holds in the end. */
  readonly accuracy: number;
  /** Samples it learned from in an epoch. */
  readonly samples: number;
  /** Sent over the network, in an epoch of the training; null where the daemon does not count it. */
  readonly bytesPerEpoch: number | null;
  /** At the last epoch of the demo; empty where the node has not decided it. */
  readonly modelRoot: string;
  readonly treeRoot: string;
}

/** The document of `starling demo --json`. */
export interface DemoResult {
  readonly dataset: string;
  readonly seed: number;
  readonly nodes: readonly NodeResult[];
  readonly epochs: number;
  /** The lowest of the nodes'; they are all the same where the models are. */
  readonly swarmAccuracy: number;
  readonly bestAloneAccuracy: number;
  readonly seconds: number;
  /** Whether every node holds the same model and the same ledger, by their roots. */
  readonly equal: boolean;
}

export interface Roots {
  readonly modelRoot: string;
  readonly treeRoot: string;
}

/** Whether all roots are there and the same. */
export function allEqual(roots: readonly Roots[]): boolean {
  const first = roots[0];
  if (first === undefined || first.modelRoot === '' || first.treeRoot === '') return false;
  return roots.every(({ modelRoot, treeRoot }) => modelRoot === first.modelRoot && treeRoot === first.treeRoot);
}

export const resultOf = (plan: DemoPlan, nodes: readonly NodeResult[], seconds: number): DemoResult => ({
  dataset: plan.dataset,
  seed: plan.seed,
  nodes,
  epochs: plan.epochs,
  swarmAccuracy: Math.min(...nodes.map(({ accuracy }) => accuracy)),
  bestAloneAccuracy: Math.max(...nodes.map(({ aloneAccuracy }) => aloneAccuracy)),
  seconds: Math.round(seconds * 10) / 10,
  equal: allEqual(nodes),
});

/** For people. `epoch` is the one whose roots were compared. */
export function describeResult(result: DemoResult, epoch: number): string {
  const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
  const rows = result.nodes.map((node, i) => [
    i,
    short(node.fingerprint),
    node.samples,
    percent(node.aloneAccuracy),
    percent(node.accuracy),
    node.bytesPerEpoch === null ? '-' : bytes(node.bytesPerEpoch),
    short(node.modelRoot) || 'none',
    short(node.treeRoot) || 'none',
  ]);
  const verdict = result.equal
    ? `equal: at epoch ${epoch} every node holds the same model and the same ledger, bit for bit`
    : `NOT EQUAL: at epoch ${epoch} the nodes do not hold the same model and ledger`;
  return [
    '',
    table(['node', 'fingerprint', 'samples', 'alone', 'swarm', 'sent/epoch', 'model', 'ledger'], rows),
    '',
    `swarm ${percent(result.swarmAccuracy)}, best node alone ${percent(result.bestAloneAccuracy)}, on the common held-out set of ${result.dataset}`,
    `${result.epochs} epochs, ${result.seconds.toFixed(1)} s in all`,
    verdict,
  ].join('\n');
}

export function bytes(count: number): string {
  if (count < 1024) return `${Math.round(count)} B`;
  return count < 1024 ** 2 ? `${(count / 1024).toFixed(1)} KiB` : `${(count / 1024 ** 2).toFixed(1)} MiB`;
}
