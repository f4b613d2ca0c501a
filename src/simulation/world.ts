/** Whole swarms in one process: the nodes of the product over virtual time, a lossy network and memory. */
import { hashWithDomain, identityFromSeeds, nobleMldsa, utf8 } from '../crypto/index.ts';
import type { Journal } from '../epoch/index.ts';
import { Random } from '../learning/random.ts';
import { makeGenesis } from '../node/genesis.ts';
import { type Genesis, mayContribute, type NodeClass, type SwarmId } from '../spec/index.ts';
import { encodeGenesis, makeCertificate, swarmIdOf } from '../wire/index.ts';
import { type Skew, VirtualClock } from './clock.ts';
import { type LinkModel, SimulatedNetwork } from './network.ts';
import { type Intercept, SimulatedNode, type Surroundings } from './node.ts';

export interface WorldOptions {
  readonly nodes: number;
  readonly seed: number;
  readonly link?: Partial<LinkModel>;
  /** Elements of the one tensor that is learned. */
  readonly parameters?: number;
  /** Ms of virtual time a trainer takes: uniform in this range. */
  readonly trainMs?: readonly [number, number];
  readonly rules?: Partial<
    Pick<
      Genesis,
      | 'epochDeadlineMs'
      | 'minDeadlineMs'
      | 'aggregation'
      | 'updateDtype'
      | 'encoding'
      | 'topkShare'
      | 'schedule'
      | 'withoutQuorum'
      | 'lambda'
      | 'voting'
      | 'missEpochs'
      | 'snapshotEpochs'
      | 'retainEpochs'
    >
  >;
  readonly classes?: readonly NodeClass[];
  readonly journal?: Journal;
  /** Nodes that `boot` does not start. */
  readonly late?: ReadonlySet<number>;
  /** How far each node's clock is wrong. */
  readonly skew?: (index: number) => Skew;
  /** Ms of virtual time that a blob takes to become durable, at most. */
  readonly diskWriteMs?: number;
  readonly intercept?: Intercept;
}

const CALM: LinkModel = { loss: 0, minDelayMs: 1, maxDelayMs: 5, duplication: 0 };

export class World implements Surroundings {
  readonly options: WorldOptions;
  readonly clock = new VirtualClock();
  readonly network: SimulatedNetwork;
  readonly nodes: readonly SimulatedNode[];
  readonly genesis: Genesis;
  readonly swarm: SwarmId;
  readonly initialModel: Float32Array;
  /** While false no trainer contributes: epochs come to rest. */
  training = true;

  constructor(options: WorldOptions) {
    this.options = options;
    this.network = new SimulatedNetwork(this.clock, Random.from(options.seed, 'network'), { ...CALM, ...options.link });
    this.nodes = Array.from({ length: options.nodes }, (_, i) => {
      const seedOf = (name: string) => hashWithDomain('starling/simulation/identity', utf8(`${options.seed}/${i}/${name}`));
      const identity = identityFromSeeds({ mldsaSeed: seedOf('mldsa'), ed25519Seed: seedOf('ed25519') }, nobleMldsa);
      return new SimulatedNode(this, i, identity, options.classes?.[i] ?? 'core');
    });
    const founder = this.node(0);
    this.initialModel = new Float32Array(options.parameters ?? 64);
    const rules = {
      name: 'simulated',
      aggregation: options.rules?.aggregation ?? 'mean',
      dtype: options.rules?.updateDtype ?? 'int16',
      encoding: options.rules?.encoding ?? 'dense',
      topkShare: options.rules?.topkShare ?? 0.05,
      schedule: options.rules?.schedule ?? 'auto',
      withoutQuorum: options.rules?.withoutQuorum ?? 'decide',
      eta: 1,
      lambda: options.rules?.lambda ?? 1,
      clipNorm: 100,
      maxSamples: 1_000_000,
      epochDeadlineMs: options.rules?.epochDeadlineMs ?? 3_000,
      minDeadlineMs: options.rules?.minDeadlineMs ?? 300,
      missEpochs: options.rules?.missEpochs ?? 10,
      admission: 'open',
      voting: options.rules?.voting ?? 'open',
      snapshotEpochs: options.rules?.snapshotEpochs ?? 10,
      retainEpochs: options.rules?.retainEpochs ?? 100,
      scaleExponent: -12,
    } as const;
    const certificate = makeCertificate(founder.identity, founder.nodeClass, []);
    this.genesis = makeGenesis(rules, [{ name: 'theta', shape: [this.initialModel.length] }], this.initialModel, [certificate], 0);
    this.swarm = swarmIdOf(encodeGenesis(this.genesis));
  }

  /** What node `i` alone would learn: a point of its own around a common one. */
  optimumOf(i: number): Float32Array {
    const common = Random.from(this.options.seed, 'optimum');
    const own = Random.from(this.options.seed, 'optimum', i);
    return Float32Array.from(this.initialModel, () => common.normal() + 0.3 * own.normal());
  }

  /** Starts every node that is not late, the founder first, and attaches a trainer to each once all are members. */
  async boot(untilMs = 60_000): Promise<void> {
    const early = this.nodes.filter((n) => this.options.late?.has(n.index) !== true);
    for (const node of early) await node.start();
    const joined = await this.clock.runUntil(() => early.every((n) => n.up.ctx.chain.head.state.members.length === early.length), untilMs);
    if (!joined) throw new Error('the simulated swarm did not form');
    for (const node of early) if (mayContribute(node.nodeClass)) node.attachTrainer();
  }

  /** Runs until every node that is up has applied `epoch`. */
  reach(epoch: number, withinMs: number): Promise<boolean> {
    return this.clock.runUntil(() => this.running.every((n) => n.up.ctx.chain.head.state.epoch >= epoch), this.clock.nowMs() + withinMs);
  }

  /** Runs for a stretch of virtual time. */
  async run(ms: number): Promise<void> {
    await this.clock.runUntil(() => false, this.clock.nowMs() + ms);
  }

  node(i: number): SimulatedNode {
    const node = this.nodes[i];
    if (node === undefined) throw new RangeError(`this world has ${this.nodes.length} nodes`);
    return node;
  }

  get running(): SimulatedNode[] {
    return this.nodes.filter((n) => n.engine !== undefined);
  }

  stop(): void {
    for (const node of this.nodes) node.kill();
  }
}
