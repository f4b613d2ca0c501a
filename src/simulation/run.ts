/** One scenario with one seed: the swarm forms, faults come and go, it must go on, and come to rest with nothing lost. */
import { StarlingError } from '../spec/index.ts';
import { Liars } from './byzantine/index.ts';
import { Invariants, type Violation, type ViolationKind } from './invariants.ts';
import type { SimulatedNode } from './node.ts';
import { lastFaultMs, planOf, skewOf } from './plan.ts';
import type { FaultEvent, Scenario } from './scenario.ts';
import { World } from './world.ts';

/** Ms of virtual time for a swarm to form, and to come to rest, over the worst link a scenario may ask for. */
const FORM_MS = 600_000;
const REST_MS = 120_000;
/** Ms of virtual time that an epoch may take on average, beyond the liveness bound. */
const EPOCH_MS = 30_000;
/** Epochs within `liveness_ms` after the last fault, at every honest node. */
const LIVENESS_EPOCHS = 2;
/** Ms after which a node that was to die in the middle of a write, and wrote nothing, dies all the same. */
const NO_WRITE_MS = 400;

/** Ms until somebody starts a process again that stopped by itself. */
const RESTART_MS = 2_000;

export interface NodeOutcome {
  readonly node: string;
  readonly dishonest: string | null;
  /** Newest final epoch. */
  readonly epoch: number;
  readonly acknowledged: number;
}

export interface EpochOutcome {
  readonly epoch: number;
  readonly block: string;
  readonly treeRoot: string;
  readonly stateRoot: string;
  readonly modelRoot: string;
  readonly roster: number;
  /** Round that made the block final, and its voters by fingerprint, as the first node to finalise it has them. */
  readonly round: number;
  readonly votes: readonly string[];
}

export interface RunOutcome {
  readonly seed: number;
  readonly swarm: string;
  readonly nodes: readonly NodeOutcome[];
  readonly epochs: readonly EpochOutcome[];
  readonly faults: number;
  /** Virtual ms from the last fault until every honest node had finalised two more epochs. */
  readonly recoveredMs: number | null;
  /** Virtual ms of the whole run, and messages sent in it. */
  readonly virtualMs: number;
  readonly messages: number;
  readonly violations: readonly Violation[];
  readonly lost: number;
  readonly verdict: 'held' | 'broken';
}

export interface RunOptions {
  /** Progress, for people. */
  readonly onEpoch?: (epoch: number) => void;
  /** Ends the run as soon as one of these breaks. */
  readonly enough?: ReadonlySet<ViolationKind>;
}

/** Repeats byte for byte from (scenario, seed). */
export async function runScenario(scenario: Scenario, seed: number, options: RunOptions = {}): Promise<RunOutcome> {
  const run = new Run(planOf(scenario, seed), options);
  try {
    return await run.all();
  } finally {
    run.world.stop();
  }
}

class Run {
  readonly world: World;
  readonly #plan: Scenario;
  readonly #check: Invariants;
  readonly #liars: Liars;
  readonly #options: RunOptions;
  #told = 0;
  /** Nodes that lost their disk. */
  readonly #wiped = new Set<SimulatedNode>();
  /** The partition that is in force. */
  #parted: FaultEvent | undefined;

  constructor(plan: Scenario, options: RunOptions) {
    this.#plan = plan;
    this.#options = options;
    const { link } = plan;
    this.#liars = new Liars(plan.byzantine, plan.seed);
    this.world = new World({
      nodes: plan.nodes,
      seed: plan.seed,
      link: {
        loss: link.loss,
        delay: link.delay,
        minDelayMs: link.min_delay_ms,
        maxDelayMs: link.max_delay_ms,
        duplication: link.duplication,
        reordering: link.reordering,
      },
      trainMs: plan.train_ms,
      rules: { schedule: plan.schedule, ...(plan.without_quorum === undefined ? {} : { withoutQuorum: plan.without_quorum }) },
      diskWriteMs: plan.disk.write_ms,
      skew: (index) => skewOf(plan, index),
      late: new Set(plan.events.flatMap((e) => (e.kind === 'join' ? [e.node] : []))),
      intercept: this.#liars.intercept,
    });
    const honest = this.world.nodes.filter((n) => !this.#liars.has(n.index));
    this.#check = new Invariants(honest, () => this.world.clock.nowMs());
  }

  async all(): Promise<RunOutcome> {
    const { world } = this;
    const plan = this.#plan;
    let recoveredMs: number | null = null;
    let lost = 0;
    if (await this.#form()) {
      this.#liars.begin();
      const startMs = world.clock.nowMs();
      for (const event of plan.events) world.clock.after(event.at_ms, () => this.#happen(event));
      const quietMs = startMs + lastFaultMs(plan);
      await this.#until(() => false, quietMs);
      const wanted = this.#check.most + LIVENESS_EPOCHS;
      if (await this.#reach(wanted, quietMs + plan.liveness_ms)) recoveredMs = Math.round(world.clock.nowMs() - quietMs);
      else this.#check.reportUnfinished(plan.liveness_ms, wanted);
      const limitMs = plan.epochs * EPOCH_MS;
      if (recoveredMs !== null && !(await this.#reach(plan.epochs, world.clock.nowMs() + limitMs)))
        this.#check.reportUnfinished(limitMs, plan.epochs);
      world.training = false;
      await this.#until(() => this.#check.lost().size === 0, world.clock.nowMs() + REST_MS);
      if (!this.#isEnough) {
        lost = this.#check.lost().size;
        this.#check.reportLost();
      }
    }
    return this.#outcome(recoveredMs, lost);
  }

  async #form(): Promise<boolean> {
    try {
      await this.world.boot(FORM_MS);
      return true;
    } catch (error) {
      if (error instanceof StarlingError) throw error;
      this.#check.reportUnfinished(FORM_MS, 1);
      return false;
    }
  }

  get #isEnough(): boolean {
    const { enough } = this.#options;
    return enough !== undefined && this.#check.violations.some((v) => enough.has(v.kind));
  }

  #reach(epoch: number, untilMs: number): Promise<boolean> {
    return this.#until(() => this.#check.least >= epoch, untilMs);
  }

  /** Runs, and checks what must hold after each event. */
  #until(done: () => boolean, untilMs: number): Promise<boolean> {
    return this.world.clock.runUntil(() => {
      this.#restartWiped();
      this.#check.observe();
      for (; this.#told < this.#check.most; this.#told++) this.#options.onEpoch?.(this.#told + 1);
      return this.#isEnough || done();
    }, untilMs);
  }

  /**
   * A node that lost its disk, and hears late of something it had signed, cannot tell itself from a second process: it stops
   * as it must (PROTOCOL section 1), and whoever runs it starts it again.
   */
  #restartWiped(): void {
    for (const node of this.#wiped) {
      if (node.fatal?.code !== 'IDENTITY_IN_USE') continue;
      node.fatal = undefined;
      node.kill();
      this.world.clock.after(RESTART_MS, () => this.#start(node));
    }
  }

  #happen(event: FaultEvent): void {
    const { network, clock } = this.world;
    switch (event.kind) {
      case 'partition':
        network.partition(...event.groups.map((group) => group.map((i) => this.world.node(i).identity.peerId)));
        this.#parted = event;
        clock.after(event.for_ms, () => {
          if (this.#parted === event) network.heal();
        });
        break;
      case 'join':
        this.#start(this.world.node(event.node));
        break;
      case 'crash':
      case 'wipe':
        this.#crash(this.world.node(event.node), event);
        break;
    }
  }

  #crash(node: SimulatedNode, event: Extract<FaultEvent, { kind: 'crash' | 'wipe' }>): void {
    if (node.engine === undefined) return;
    const { clock } = this.world;
    const { engine } = node;
    const die = (): void => {
      if (node.engine === engine) node.kill();
      if (event.kind === 'wipe') this.#replaceDisk(node);
      else if (this.#plan.forgetful.includes(node.index)) node.disk.wipe();
    };
    if (event.kind === 'crash' && event.in_write > 0) {
      node.killInWrite(event.in_write);
      clock.after(Math.min(NO_WRITE_MS, event.for_ms), die);
    } else die();
    clock.after(event.for_ms, () => this.#start(node));
  }

  /** A machine with a new disk: what its users were told is safe went with the old one. */
  #replaceDisk(node: SimulatedNode): void {
    node.disk.wipe();
    node.acknowledged.length = 0;
    this.#wiped.add(node);
    this.#check.forget(node);
  }

  #start(node: SimulatedNode): void {
    if (node.engine !== undefined) return;
    void node.start().then(
      () => {
        if (node.started) node.attachTrainer();
      },
      (error: unknown) => node.failed(error),
    );
  }

  #outcome(recoveredMs: number | null, lost: number): RunOutcome {
    const { world } = this;
    const { violations, agreed } = this.#check;
    return {
      seed: this.#plan.seed,
      swarm: world.swarm,
      nodes: world.nodes.map((node) => ({
        node: node.identity.fingerprint,
        dishonest: this.#liars.kindOf(node.index) ?? null,
        epoch: node.engine?.ctx.chain.finalized.state.epoch ?? 0,
        acknowledged: node.acknowledged.length,
      })),
      epochs: agreed.map(({ first, ...epoch }) => ({ ...epoch, ...votesOf(world.node(first), epoch.epoch) })),
      faults: this.#plan.events.length,
      recoveredMs,
      virtualMs: Math.round(world.clock.nowMs()),
      messages: world.network.messages,
      violations,
      lost,
      verdict: violations.length === 0 ? 'held' : 'broken',
    };
  }
}

function votesOf(node: SimulatedNode, epoch: number): { readonly round: number; readonly votes: readonly string[] } {
  const certificate = node.disk.blocks.get(epoch)?.certificate;
  return { round: certificate?.round ?? -1, votes: (certificate?.votes ?? []).map((v) => v.voter) };
}
