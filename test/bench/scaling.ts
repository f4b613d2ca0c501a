/**
 * What an exact sum costs a node as swarms grow: bytes and steps of a ring and of a grid, from their plans for ten million
 * parameters, and from a run of every node with a small model, each of whose sums is checked. `node test/bench/scaling.ts` draws it to
 * docs/scaling.svg.
 */
import { writeFileSync } from 'node:fs';
import { bytesIn, gridOf, gridPlan, ringOf } from '../../src/aggregation/index.ts';
import { WEIGHT_TOTAL } from '../../src/spec/index.ts';
import { Exchanges, picker, plainSum, randomRows } from '../support/exchanges.ts';
import type { BenchRow } from './row.ts';
import { chart } from './svg.ts';

const SWARMS = [8, 64, 512, 1_000];
const PARAMETERS = 10_000_000;
/** Parameters of the run: enough for parts of equal length. */
const RUN_PARAMETERS = 8_400;
const QMAX = 32_767;

interface Cost {
  readonly nodes: number;
  /** Bytes that the busiest node sends in an epoch. */
  readonly gossip: number;
  readonly ring: number;
  readonly grid: number;
  readonly ringSteps: number;
  readonly gridSteps: number;
  /** Over the run: bytes a parameter and node, on average and of the busiest. */
  readonly runMean: number;
  readonly runMost: number;
}

/** Shares of the weight total that have nothing in common, so that sums take their full width. */
const weightsOf = (nodes: number): number[] =>
  new Array<number>(nodes).fill(Math.floor(WEIGHT_TOTAL / nodes)).with(0, Math.floor(WEIGHT_TOTAL / nodes) - 1);

function costOf(nodes: number): Cost {
  const summands = { elements: PARAMETERS, weights: weightsOf(nodes), qmax: QMAX };
  const grid = gridOf(nodes);
  const ring = gridPlan(ringOf(nodes), 0, summands);
  const plans = Array.from({ length: nodes }, (_, rank) => gridPlan(grid, rank, summands));
  const sent = runOf(nodes).map((bytes) => bytes / RUN_PARAMETERS);
  return {
    nodes,
    gossip: (nodes - 1) * PARAMETERS * 2,
    ring: bytesIn(ring.sends),
    grid: Math.max(...plans.map(({ sends }) => bytesIn(sends))),
    ringSteps: ring.steps,
    gridSteps: (plans[0] as (typeof plans)[number]).steps,
    runMean: sent.reduce((a, b) => a + b, 0) / nodes,
    runMost: Math.max(...sent),
  };
}

/** Bytes that each node sends when all of them run the grid. Throws unless every sum is right. */
function runOf(nodes: number): readonly number[] {
  const pick = picker(nodes);
  const rows = randomRows(nodes, RUN_PARAMETERS, QMAX, pick);
  const weights = weightsOf(nodes);
  const grid = gridOf(nodes);
  const swarm = new Exchanges({ rows, weights, qmax: QMAX, plan: (rank, summands) => gridPlan(grid, rank, summands) });
  swarm.start();
  swarm.run(pick);
  const expected = Int32Array.from(plainSum(rows, weights));
  for (const sum of swarm.sums())
    if (Buffer.compare(Buffer.from(sum.buffer), Buffer.from(expected.buffer)) !== 0) throw new Error('a sum is wrong');
  return swarm.sent;
}

export async function rows(): Promise<BenchRow[]> {
  const costs = SWARMS.map(costOf);
  const [first] = costs as [Cost, ...Cost[]];
  return costs.flatMap(({ nodes, grid, gridSteps, runMean, runMost }) => {
    const row = (what: string, value: number, unit: string, baseline: number): BenchRow => ({
      bench: 'scaling',
      case: `${nodes} nodes, ${what}`,
      value,
      unit,
      baseline: `${first.nodes} nodes`,
      ratio: value / baseline,
      n: nodes,
    });
    return [
      row('grid, 10M int16: sent by the busiest node', grid, 'bytes an epoch', first.grid),
      row('grid: steps', gridSteps, 'steps', first.gridSteps),
      row('grid run by every node: sent on average', runMean, 'bytes a parameter', first.runMean),
      row('grid run by every node: sent by the busiest', runMost, 'bytes a parameter', first.runMost),
    ];
  });
}

function draw(): string {
  const costs = [...SWARMS, 16, 24, 32, 97, 128, 200, 256, 343, 700].sort((a, b) => a - b).map(costOf);
  const line = (name: string, colour: string, of: (cost: Cost) => number) => ({
    name,
    colour,
    points: costs.map((cost) => [cost.nodes, of(cost)] as const),
  });
  return chart([
    {
      title: 'Bytes that the busiest node sends in an epoch, 10M int16',
      x: 'nodes',
      y: 'bytes',
      series: [
        line('everyone to everyone', '#cf222e', (cost) => cost.gossip),
        line('ring', '#0969da', (cost) => cost.ring),
        line('grid', '#1a7f37', (cost) => cost.grid),
      ],
    },
    {
      title: 'Steps one after another',
      x: 'nodes',
      y: 'steps',
      series: [line('ring', '#0969da', (cost) => cost.ringSteps), line('grid', '#1a7f37', (cost) => cost.gridSteps)],
    },
  ]);
}

if (import.meta.main) writeFileSync(new URL('../../docs/scaling.svg', import.meta.url), draw());
