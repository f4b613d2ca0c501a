/** Whole swarms in one process: the nodes of the product over virtual time, a lossy network and memory. */
import { createReference } from '../compute/index.ts';
import { hashWithDomain, type Identity, identityFromSeeds, nobleMldsa, utf8 } from '../crypto/index.ts';
import { Engine, type EpochPorts, type Journal } from '../epoch/index.ts';
import { Random } from '../learning/random.ts';
import { makeGenesis } from '../node/genesis.ts';
import type { Genesis, NodeClass, StarlingError, SwarmId } from '../spec/index.ts';
import { encodeGenesis, makeCertificate, swarmIdOf } from '../wire/index.ts';
import { VirtualClock } from './clock.ts';
import { type LinkModel, SimulatedNetwork } from './network.ts';
import { MemoryBlobStore, MemoryEntryStore, MemoryNodeStore } from './stores.ts';

export interface WorldOptions {
  readonly nodes: number;
  readonly seed: number;
  readonly link?: Partial<LinkModel>;
  /** Elements of the one tensor that is learned. */
  readonly parameters?: number;
  /** Ms of virtual time a trainer takes: uniform in this range. */
  readonly trainMs?: readonly [number, number];
  readonly rules?: Partial<Pick<Genesis, 'epochDeadlineMs' | 'minDeadlineMs' | 'updateDtype' | 'lambda'>>;
  readonly classes?: readonly NodeClass[];
  readonly journal?: Journal;
}

const CALM: LinkModel = { loss: 0, minDelayMs: 1, maxDelayMs: 5, duplication: 0 };

/** One simulated machine: its stores outlive its process. */
export class SimulatedNode {
  readonly index: number;
  readonly identity: Identity;
  readonly entries = new MemoryEntryStore();
  readonly blobs = new MemoryBlobStore();
  readonly store = new MemoryNodeStore();
  readonly nodeClass: NodeClass;
  /** Undefined while the process is down. */
  engine: Engine | undefined;
  fatal: StarlingError | undefined;
  /** Ids that `submit` returned: what a user was told is safe. */
  readonly acknowledged: string[] = [];
  readonly #world: World;
  #training = false;
  /** Counts process starts: a callback of an earlier life must do nothing. */
  #life = 0;

  constructor(world: World, index: number, identity: Identity, nodeClass: NodeClass) {
    this.#world = world;
    this.index = index;
    this.identity = identity;
    this.nodeClass = nodeClass;
  }

  get up(): Engine {
    if (this.engine === undefined) throw new Error(`node ${this.index} is down`);
    return this.engine;
  }

  async start(): Promise<void> {
    const { clock, network, swarm, genesis, initialModel, options } = this.#world;
    this.#life++;
    const random = Random.from(options.seed, 'node', this.index, this.#life);
    const port = network.attach(this.identity.peerId);
    const ports: EpochPorts = {
      clock,
      entropy: { bytes: (n) => Uint8Array.from({ length: n }, () => random.below(256)), uniform: () => random.uniform() },
      gossip: port,
      streams: port,
      entries: this.entries,
      blobs: this.blobs,
      store: this.store,
      journal: options.journal ?? QUIET,
      compute: createReference(),
    };
    const init = { identity: this.identity, nodeClass: this.nodeClass, swarm, genesis, initialModel, ports };
    const life = this.#life;
    const engine = new Engine(
      init,
      { alone: this.index === 0 && life === 1 },
      {
        changed: (topic) => {
          if (topic === 'epoch' && this.#life === life) this.#train(engine, life);
        },
        fatal: (error) => {
          this.fatal = error;
        },
      },
    );
    this.engine = engine;
    await engine.start();
  }

  /** The process dies at once: nothing is said to anyone, what was stored stays. */
  kill(): void {
    this.#life++;
    this.engine?.stop();
    this.engine = undefined;
    this.#training = false;
    this.#world.network.detach(this.identity.peerId);
  }

  /** A trainer that contributes once an epoch from now on. */
  attachTrainer(): void {
    this.up.setTrainers(1);
    this.#train(this.up, this.#life);
  }

  #train(engine: Engine, life: number): void {
    if (this.#training || !this.#world.training) return;
    this.#training = true;
    const [least, most] = this.#world.options.trainMs ?? [20, 200];
    const random = Random.from(this.#world.options.seed, 'train', this.index, this.#world.clock.nowMs());
    const epoch = engine.ctx.chain.head.state.epoch + 1;
    this.#world.clock.after(least + random.uniform() * (most - least), () => {
      if (this.#life !== life) return;
      void this.#contribute(engine, epoch, random).finally(() => {
        if (this.#life !== life) return;
        this.#training = false;
        if (engine.ctx.chain.head.state.epoch + 1 > epoch) this.#train(engine, life);
      });
    });
  }

  /** Half the way to this node's own optimum, with noise: what gradient descent on a quadratic loss does. */
  async #contribute(engine: Engine, epoch: number, random: Random): Promise<void> {
    if (!this.#world.training) return;
    const theta = await engine.ctx.chain.model(engine.ctx.chain.head.state.epoch);
    const goal = this.#world.optimumOf(this.index);
    const values = theta.map((v, k) => 0.5 * ((goal[k] as number) - v) + 0.01 * random.normal());
    try {
      const { contributionId } = await engine.submit({ epoch, kind: 'delta', samples: 100 + this.index, metrics: {}, values });
      this.acknowledged.push(contributionId);
    } catch (error) {
      const code = (error as StarlingError).code;
      if (code !== 'EPOCH_PAST' && code !== 'EPOCH_FAR' && code !== 'ALREADY_CONTRIBUTED') throw error;
    }
  }
}

const QUIET: Journal = { log: () => undefined, count: () => undefined, observe: () => undefined };

export class World {
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
      dtype: options.rules?.updateDtype ?? 'int16',
      eta: 1,
      lambda: options.rules?.lambda ?? 1,
      clipNorm: 100,
      maxSamples: 1_000_000,
      epochDeadlineMs: options.rules?.epochDeadlineMs ?? 3_000,
      minDeadlineMs: options.rules?.minDeadlineMs ?? 300,
      missEpochs: 10,
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

  /** Starts every node, the founder first, and attaches a trainer to each once all are members. */
  async boot(untilMs = 60_000): Promise<void> {
    for (const node of this.nodes) await node.start();
    const joined = await this.clock.runUntil(
      () => this.nodes.every((n) => n.up.ctx.chain.head.state.members.length === this.nodes.length),
      untilMs,
    );
    if (!joined) throw new Error('the simulated swarm did not form');
    for (const node of this.nodes) if (node.nodeClass === 'core' || node.nodeClass === 'edge') node.attachTrainer();
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
