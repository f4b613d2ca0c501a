import { createReference } from '../compute/index.ts';
import type { Identity } from '../crypto/index.ts';
import { Engine, type EpochPorts, type Journal } from '../epoch/index.ts';
import { Random } from '../learning/random.ts';
import {
  asStarlingError,
  type BlockHash,
  type DecisionId,
  type ErrorCode,
  type Genesis,
  type NodeClass,
  type StarlingError,
  type SwarmId,
} from '../spec/index.ts';
import { ProcessClock, type Skew, TRUE_TIME, type VirtualClock } from './clock.ts';
import { Disk, MountedDisk, PowerCut } from './disk.ts';
import type { SimulatedNetwork, SimulatedPort } from './network.ts';

/** Changes what a node's engine is given: how a dishonest one is made. */
export type Intercept = (node: SimulatedNode, ports: EpochPorts, port: SimulatedPort, swarm: SwarmId) => EpochPorts;

/** What a node needs of its world. */
export interface Surroundings {
  readonly clock: VirtualClock;
  readonly network: SimulatedNetwork;
  readonly swarm: SwarmId;
  readonly genesis: Genesis;
  readonly initialModel: Float32Array;
  readonly training: boolean;
  readonly options: {
    readonly seed: number;
    readonly trainMs?: readonly [number, number];
    readonly journal?: Journal;
    readonly skew?: (index: number) => Skew;
    readonly diskWriteMs?: number;
    readonly intercept?: Intercept;
  };
  optimumOf(i: number): Float32Array;
}

/**
 * Why a contribution may be refused although all is well: the epoch went on, this node had its turn, it is no member (any
 * more), it is still pulling the model, or a rollback holds it.
 */
const EXPECTED: readonly ErrorCode[] = [
  'EPOCH_PAST',
  'EPOCH_FAR',
  'ALREADY_CONTRIBUTED',
  'FORKED_AUTHOR',
  'NOT_MEMBER',
  'AGGREGATE_MISSING',
  'PINNED',
];
/** Ms after which a trainer that was refused tries again. */
const RETRY_MS = 250;

/** One simulated machine: its disk outlives its process. */
export class SimulatedNode {
  readonly index: number;
  readonly identity: Identity;
  readonly disk: Disk;
  readonly nodeClass: NodeClass;
  /** Undefined while the process is down. */
  engine: Engine | undefined;
  /** Whether this life has read its disk: before that its chain is on the way to where it was. */
  started = false;
  /** Why the process stopped by itself, or what went wrong in it that never may. */
  fatal: StarlingError | undefined;
  /** Ids that `submit` returned: what a user was told is safe. */
  readonly acknowledged: string[] = [];
  readonly #world: Surroundings;
  #mounted: MountedDisk | undefined;
  #training = false;
  /** What the newest update was learned from: the trainer waits for what follows it. */
  #trainedOn: string | undefined;
  /** Counts process starts: a callback of an earlier life must do nothing. */
  #life = 0;

  constructor(world: Surroundings, index: number, identity: Identity, nodeClass: NodeClass) {
    this.#world = world;
    this.index = index;
    this.disk = new Disk(index === 0);
    this.identity = identity;
    this.nodeClass = nodeClass;
  }

  get entries(): Disk['entries'] {
    return this.disk.entries;
  }

  get up(): Engine {
    if (this.engine === undefined) throw new Error(`node ${this.index} is down`);
    return this.engine;
  }

  async start(): Promise<void> {
    const { network, swarm, genesis, initialModel, options } = this.#world;
    const life = ++this.#life;
    const random = Random.from(options.seed, 'node', this.index, life);
    const port = network.attach(this.identity.peerId);
    const isAlive = (): boolean => this.#life === life;
    const clock = new ProcessClock(this.#world.clock, options.skew?.(this.index) ?? TRUE_TIME, isAlive, (error) => this.#crash(error));
    const disk = new MountedDisk(this.disk, {
      writeMs: options.diskWriteMs ?? 0,
      random: Random.from(options.seed, 'disk', this.index, life),
      clock,
      onCut: () => this.kill(),
    });
    this.#mounted = disk;
    const plain: EpochPorts = {
      clock,
      entropy: { bytes: (n) => Uint8Array.from({ length: n }, () => random.below(256)), uniform: () => random.uniform() },
      gossip: port,
      streams: port,
      entries: disk.entries,
      blocks: disk.blocks,
      blobs: disk.blobs,
      own: disk.own,
      store: disk.store,
      journal: options.journal ?? QUIET,
      compute: createReference(),
    };
    const ports = options.intercept?.(this, plain, port, swarm) ?? plain;
    const init = { identity: this.identity, nodeClass: this.nodeClass, swarm, genesis, initialModel, ports };
    const engine = new Engine(
      init,
      { alone: this.index === 0 && life === 1, founds: this.disk.founding },
      {
        changed: (topic) => {
          if (engine.ctx.chain.finalized.state.epoch > 0) this.disk.founding = false;
          if (topic === 'epoch' && this.#life === life) this.#train(engine, life);
        },
        // What a dead process still finds on a disk that is another's by now is nothing.
        fatal: (error) => {
          if (this.#life === life) this.fatal = error;
        },
      },
    );
    this.engine = engine;
    await engine.replay();
    await engine.start();
    if (this.#life === life) this.started = true;
  }

  /** The process dies at once: nothing is said to anyone, what was stored stays. */
  kill(): void {
    this.#life++;
    this.#mounted?.unmount();
    void this.engine?.stop();
    this.engine = undefined;
    this.started = false;
    this.#training = false;
    this.#trainedOn = undefined;
    this.#world.network.detach(this.identity.peerId);
  }

  /** The power goes in the middle of the `writes`-th write from now, 1 for the next; the process dies with it. */
  killInWrite(writes: number): void {
    this.#mounted?.cutAt(writes);
  }

  /** A trainer that contributes once an epoch from now on. */
  attachTrainer(): void {
    this.up.setTrainers(1);
    this.#train(this.up, this.#life);
  }

  #train(engine: Engine, life: number): void {
    if (this.#training || !this.#world.training || standOf(engine, engine.ctx.chain.head.id) === this.#trainedOn) return;
    this.#training = true;
    const [least, most] = this.#world.options.trainMs ?? [20, 200];
    const random = Random.from(this.#world.options.seed, 'train', this.index, this.#world.clock.nowMs());
    const epoch = engine.ctx.chain.head.state.epoch + 1;
    this.#world.clock.after(least + random.uniform() * (most - least), () => {
      if (this.#life !== life) return;
      const again = (): void => {
        if (this.#life !== life) return;
        this.#training = false;
        this.#train(engine, life);
      };
      void this.#contribute(engine, epoch, random).then(again, (error: unknown) => {
        if (this.#life !== life) return;
        this.failed(error);
        // An earlier life contributed.
        if (asStarlingError(error).code === 'ALREADY_CONTRIBUTED') this.#trainedOn = standOf(engine, engine.ctx.chain.head.id);
        this.#world.clock.after(RETRY_MS, again);
      });
    });
  }

  /** Half the way to this node's own optimum, with noise: what gradient descent on a quadratic loss does. */
  async #contribute(engine: Engine, epoch: number, random: Random): Promise<void> {
    if (!this.#world.training) return;
    const theta = await engine.model();
    const goal = this.#world.optimumOf(this.index);
    const values = theta.map((v, k) => 0.5 * ((goal[k] as number) - v) + 0.01 * random.normal());
    const { contributionId } = await engine.submit({ epoch, kind: 'delta', samples: 100 + this.index, metrics: {}, values });
    if (contributionId !== null) this.acknowledged.push(contributionId);
    const entry = contributionId === null ? undefined : engine.ctx.replica.graph.get(contributionId);
    this.#trainedOn = standOf(engine, entry?.core.anchorBlock ?? engine.ctx.chain.head.id);
  }

  /** An error that nothing catches ends a process. */
  #crash(error: unknown): void {
    this.failed(error);
    if (this.engine !== undefined) this.kill();
  }

  /** Something went wrong in this process that may be as it should, or else is remembered. */
  failed(error: unknown): void {
    if (error instanceof PowerCut) return;
    const problem = asStarlingError(error, { phase: 'submit' });
    if (!EXPECTED.includes(problem.code)) this.fatal ??= problem;
  }
}

/** What a trainer learns on from: a head, and the round of a node that diffuses over it. */
const standOf = ({ diffusion }: Engine, head: BlockHash | DecisionId): string =>
  diffusion === undefined ? head : `${head} ${diffusion.round}`;

const QUIET: Journal = { log: () => undefined, count: () => undefined, observe: () => undefined };
