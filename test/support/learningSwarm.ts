import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadOrCreateToken, writeApiFile } from '../../src/api/files.ts';
import { type ApiServer, startApi } from '../../src/api/server.ts';
import type { EpochCurrent, NodeService, Submission, TrainerStatus } from '../../src/api/service.ts';
import { sha256, toHex } from '../../src/crypto/hash.ts';
import { partsOf } from '../../src/epoch/index.ts';
import { initialise, type Layers, parameterCount, tensorsOf } from '../../src/learning/index.ts';
import { StarlingError } from '../../src/spec/index.ts';
import { createFakeNode, hash } from '../unit/api/fakeNode.ts';

/**
 * Nodes that agree by magic: one average in memory, closed as soon as every node has contributed, behind the
 * real API of each. For tests of what talks to daemons.
 */
export class LearningSwarm {
  readonly layers: Layers;
  params: Float32Array;
  epoch = 0;
  readonly nodes: LearningNode[];
  readonly #held = new Map<LearningNode, Submission>();
  #applied = Promise.withResolvers<void>();

  constructor(layers: Layers, count: number) {
    this.layers = layers;
    this.params = initialise(layers, 1);
    this.nodes = Array.from({ length: count }, () => new LearningNode(this));
  }

  get modelRoot(): string {
    return toHex(sha256(new Uint8Array(this.params.buffer)));
  }

  get activeTrainers(): number {
    return this.nodes.reduce((sum, node) => sum + node.trainers.length, 0);
  }

  /** Resolves when the next epoch has been applied. */
  get nextApplied(): Promise<void> {
    return this.#applied.promise;
  }

  submit(node: LearningNode, submission: Submission): void {
    if (submission.epoch <= this.epoch) throw new StarlingError('EPOCH_PAST', `epoch ${submission.epoch} is over`, { phase: 'submit' });
    if (this.#held.has(node)) throw new StarlingError('ALREADY_CONTRIBUTED', 'there is an update already', { phase: 'submit' });
    this.#held.set(node, submission);
    if (this.#held.size === this.nodes.length) this.close();
  }

  /** Averages what is there and goes on to the next epoch. */
  close(): void {
    const updates = [...this.#held.values()];
    const total = updates.reduce((sum, { samples }) => sum + samples, 0);
    this.params = this.params.map(
      (p, k) => p + updates.reduce((sum, { samples, values }) => sum + (samples * (values[k] as number)) / total, 0),
    );
    this.#held.clear();
    this.epoch++;
    this.#applied.resolve();
    this.#applied = Promise.withResolvers();
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop()));
    for (const node of this.nodes) rmSync(node.data, { recursive: true });
  }
}

export class LearningNode {
  readonly data = mkdtempSync(join(tmpdir(), 'starling-learning-'));
  trainers: TrainerStatus[] = [];
  readonly submissions: Submission[] = [];
  /** Called before an update is taken; may throw, or let the swarm go on. */
  onSubmit: (submission: Submission) => void = () => {};
  readonly #swarm: LearningSwarm;
  #api: ApiServer | undefined;

  constructor(swarm: LearningSwarm) {
    this.#swarm = swarm;
  }

  async start(): Promise<void> {
    this.trainers = [];
    this.#api = await startApi({ service: this.#service(), token: loadOrCreateToken(this.data), port: 0 });
    writeApiFile(this.data, { url: this.#api.url, pid: process.pid, version: '0.0.0' });
  }

  async stop(): Promise<void> {
    await this.#api?.close();
    this.#api = undefined;
  }

  #current(): EpochCurrent {
    const swarm = this.#swarm;
    const head = { epoch: swarm.epoch, decision: hash('d'), modelRoot: swarm.modelRoot };
    const { activeTrainers } = swarm;
    return {
      epoch: swarm.epoch + 1,
      phase: 'idle',
      roster: [],
      deadlineMs: null,
      latest: head,
      finalized: head,
      applied: head,
      activeTrainers,
      pinned: null,
      diffusion: null,
    };
  }

  #service(): NodeService {
    const swarm = this.#swarm;
    const fake = createFakeNode();
    return {
      ...fake,
      swarm: () => ({ ...fake.swarm(), tensors: tensorsOf(swarm.layers), parameters: parameterCount(swarm.layers) }),
      epoch: () => this.#current(),
      waitEpoch: async (epoch) => {
        while (swarm.epoch < epoch) await swarm.nextApplied;
        return this.#current();
      },
      modelValues: async () => ({ epoch: swarm.epoch, modelRoot: swarm.modelRoot, local: false, parts: partsOf(swarm.params) }),
      attachTrainer: (name) => {
        const trainer = { trainerId: `${name}-${this.trainers.length}-${performance.now()}`, attachedMs: 0, lastSubmission: null };
        this.trainers.push(trainer);
        return trainer;
      },
      detachTrainer: (id) => {
        this.trainers = this.trainers.filter(({ trainerId }) => trainerId !== id);
      },
      trainers: () => this.trainers,
      submit: async (submission) => {
        this.onSubmit(submission);
        swarm.submit(this, submission);
        this.submissions.push(submission);
        return { contributionId: hash('1'), epoch: submission.epoch, updateHash: hash('2') };
      },
    };
  }
}
