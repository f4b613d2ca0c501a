import { table } from '../table.ts';
import type { TrainEvent, TrainReport } from '../train/events.ts';
import { bytes } from './result.ts';

/** One node as the table shows it. */
export interface NodeProgress {
  phase: string;
  /** Epoch being worked on. */
  epoch: number;
  peers: number;
  /** Own training loss and held-out accuracy by epoch. */
  readonly losses: Map<number, number>;
  readonly accuracies: Map<number, number>;
  /** Since the daemon began; null while unknown. */
  sentBytes: number | null;
  report: TrainReport | undefined;
}

export const newProgress = (): NodeProgress => ({
  phase: 'starting',
  epoch: 0,
  peers: 0,
  losses: new Map(),
  accuracies: new Map(),
  sentBytes: null,
  report: undefined,
});

/** What a trainer's message changes. */
export function noteEvent(node: NodeProgress, event: TrainEvent): void {
  if (event.kind === 'epoch') {
    node.losses.set(event.epoch, event.loss);
    node.accuracies.set(event.epoch, event.accuracy);
  } else if (event.kind === 'done') node.report = event.report;
}

/** The live table of a terminal. */
export function liveTable(nodes: readonly NodeProgress[]): string {
  const last = (figures: Map<number, number>): string => [...figures.values()].at(-1)?.toFixed(3) ?? '-';
  const sent = ({ sentBytes }: NodeProgress): string => (sentBytes === null ? '-' : bytes(sentBytes));
  return table(
    ['node', 'phase', 'epoch', 'peers', 'loss', 'accuracy', 'sent'],
    nodes.map((node, i) => [
      i,
      node.report === undefined ? node.phase : 'done',
      node.epoch,
      node.peers,
      last(node.losses),
      last(node.accuracies),
      sent(node),
    ]),
  );
}

/** Above the epoch lines of a pipe. */
export function epochHeader(nodes: number): string {
  const width = figuresWidth(nodes);
  return `epoch  ${'loss by node'.padEnd(width)}  ${'accuracy by node'.padEnd(width)}  peers  sent in all`;
}

/** One epoch in a pipe: every node's figures side by side, `-` where a node has none. */
export function epochLine(epoch: number, nodes: readonly NodeProgress[]): string {
  const figures = (of: (node: NodeProgress) => Map<number, number>): string =>
    nodes
      .map((node) => (of(node).get(epoch)?.toFixed(3) ?? '-').padEnd(FIGURE_WIDTH))
      .join('')
      .padEnd(figuresWidth(nodes.length));
  const known = nodes.map(({ sentBytes }) => sentBytes).filter((sent) => sent !== null);
  const sent = known.length === 0 ? '-' : bytes(known.reduce((a, b) => a + b, 0));
  const peers = String(Math.min(...nodes.map((node) => node.peers)));
  return `${String(epoch).padStart(5)}  ${figures(({ losses }) => losses)}  ${figures(({ accuracies }) => accuracies)}  ${peers.padEnd(5)}  ${sent}`;
}

/** `0.000 `: columns of figures line up. */
const FIGURE_WIDTH = 6;
const figuresWidth = (nodes: number): number => Math.max(FIGURE_WIDTH * nodes, 'accuracy by node'.length);

/** Epochs that can be printed now, in order: reported by every node, or overtaken by a later report. */
export function printableEpochs(nodes: readonly NodeProgress[], printed: number): number[] {
  const seen = [...new Set(nodes.flatMap(({ accuracies }) => [...accuracies.keys()]))]
    .filter((epoch) => epoch > printed)
    .sort((a, b) => a - b);
  const overtakenBelow = Math.min(...nodes.map(({ accuracies }) => Math.max(0, ...accuracies.keys())));
  return seen.filter((epoch) => epoch <= overtakenBelow);
}
