/** A simulated swarm of four voters and three members without a vote, cut apart, the three in a line: what they hold, from their disks. */
import assert from 'node:assert/strict';
import { int32Of, layoutOf } from '../../src/aggregation/index.ts';
import { decodePiece, type PieceRecord } from '../../src/epoch/diffusion/edges.ts';
import { World } from '../../src/simulation/index.ts';
import { Invariants } from '../../src/simulation/invariants.ts';
import type { SimulatedNode } from '../../src/simulation/node.ts';
import { openResidual, valuesOf } from './residuals.ts';

export const ELEMENTS = 16;
/** What an integer that diffuses stands for: 2^-8 of the first scale. */
export const UNIT = 2 ** -20;
const VOTERS = 4;
/** Ms of virtual time after which every message of a round is there: they take 5 at most. */
const ROUND_DONE_MS = 100;

const CLASSES = ['core', 'core', 'core', 'core', 'edge', 'edge', 'edge'] as const;

export class Diffusing {
  readonly world: World;
  readonly invariants: Invariants;
  readonly line: readonly SimulatedNode[];

  constructor(seed: number) {
    const rules = { withoutQuorum: 'diffuse', voting: 'open' } as const;
    this.world = new World({ nodes: CLASSES.length, classes: CLASSES, seed, parameters: ELEMENTS, rules });
    this.invariants = new Invariants(this.world.nodes, () => this.world.clock.nowMs());
    this.line = this.world.nodes.slice(VOTERS);
  }

  /** Voters on one side, the others on the other, the first and the last of these not connected; resolves when they diffuse. */
  async part(): Promise<void> {
    const { world, line } = this;
    world.training = false;
    await world.boot();
    const peer = ({ identity }: SimulatedNode) => identity.peerId;
    const [first, , last] = line as [SimulatedNode, SimulatedNode, SimulatedNode];
    world.network.partition(world.nodes.slice(0, VOTERS).map(peer), line.map(peer));
    world.network.cut([peer(first), peer(last)]);
    await this.until(() => this.#degrees().join() === '1,2,1', 20_000, 'the three see their neighbours');
  }

  #degrees(): (number | undefined)[] {
    return this.line.map((n) => n.engine?.diffusion?.neighbours.length);
  }

  /** Runs and checks what must hold after every event. */
  async until(done: () => boolean, withinMs: number, what: string): Promise<void> {
    const { clock } = this.world;
    const reached = await clock.runUntil(() => {
      this.invariants.observe();
      return done();
    }, clock.nowMs() + withinMs);
    assert.ok(reached, what);
  }

  /** Until one more round has begun everywhere in the line, and ended. */
  async round(): Promise<void> {
    const rounds = () => this.line.map((n) => n.engine?.diffusion?.round ?? -1);
    const before = Math.max(...rounds());
    await this.until(() => Math.min(...rounds()) > before, 10_000, 'a round');
    await this.world.run(ROUND_DONE_MS);
  }

  /** Integers in the place of what each of the line has learned. */
  rows(): Int32Array[] {
    return this.line.map(rowOf);
  }

  /** Hands in one update, whatever the epoch is; its values in units. */
  async learn(node: SimulatedNode, units: readonly number[]): Promise<void> {
    const epoch = node.up.ctx.chain.head.state.epoch + 1;
    const values = Float32Array.from(units, (v) => v * UNIT);
    const { contributionId } = await node.up.submit({ epoch, kind: 'delta', samples: 100, metrics: {}, values });
    if (contributionId !== null) node.acknowledged.push(contributionId);
  }

  /** All that the line has in final blocks, in residuals and in rows, added up: exact, in the model's units. */
  async owned(): Promise<Float64Array> {
    const sum = new Float64Array(ELEMENTS);
    const { chain } = this.world.node(0).up.ctx;
    const { genesis } = this.world;
    for (const node of this.line) {
      const residual = openResidual(node.disk.store, node.disk.own, layoutOf(genesis.tensors));
      (await valuesOf(residual)).forEach((v, k) => {
        sum[k] = (sum[k] as number) + v;
      });
      rowOf(node).forEach((v, k) => {
        sum[k] = (sum[k] as number) + v * UNIT;
      });
      for (let epoch = 1; epoch <= chain.finalized.state.epoch; epoch++)
        for (const { core } of chain.contributionsOf(chain.at(epoch)?.body ?? assert.fail('not applied'))) {
          if (core.author !== node.identity.fingerprint) continue;
          const own = (await residual.get(core.body.updateHash)) ?? assert.fail('not kept');
          own.integers.forEach((v, k) => {
            sum[k] = (sum[k] as number) + v * 2 ** (own.exponents[0] as number);
          });
        }
    }
    return sum;
  }
}

/** What a disk says of the one piece that a row here has. */
export function recordOf({ disk }: SimulatedNode): PieceRecord | undefined {
  const saved = disk.store.keys('diffusion/at/').map((key) => disk.store.get(key) ?? assert.fail('gone'));
  return saved.length === 0 ? undefined : decodePiece(saved.at(-1) as Uint8Array);
}

function rowOf(node: SimulatedNode): Int32Array {
  const version = recordOf(node)?.version ?? 0;
  return version === 0
    ? new Int32Array(ELEMENTS)
    : Int32Array.from(int32Of(node.disk.store.get(`diffusion/rows/0/${version}`) as Uint8Array));
}

/** Over all rows, of each element. */
export const sumOf = (rows: readonly Int32Array[]): number[] =>
  Array.from({ length: ELEMENTS }, (_, k) => rows.reduce((sum, row) => sum + (row[k] as number), 0));

/** Distance of all rows from their mean. */
export function spreadOf(rows: readonly Int32Array[]): number {
  const means = sumOf(rows).map((sum) => sum / rows.length);
  return Math.hypot(...rows.flatMap((row) => [...row].map((v, k) => v - (means[k] as number))));
}
