/** The mode of a node that reaches no quorum, where the genesis says `diffuse`: it learns on from a model of its own, near its neighbours'. */
import { type Fingerprint, mayContribute, StarlingError } from '../../spec/index.ts';
import { type EpochContext, peerOf } from '../context.ts';
import { turn } from '../exchange/world.ts';
import { screen } from '../prepare.ts';
import type { Residual } from '../residual.ts';
import type { UpdateSubmission } from '../submission.ts';
import { checkSubmission } from '../submit.ts';
import { Account } from './account.ts';
import { Mixing } from './mixing.ts';

export interface DiffusionListener {
  /** Nodes that have said that they train now. */
  trainers(): readonly Fingerprint[];
  /** A round begins. */
  changed(): void;
  failed(error: unknown): void;
}

/** Where a node stands that diffuses. */
export interface DiffusionView {
  readonly round: number;
  readonly neighbours: readonly Fingerprint[];
}

/** What became of an update that diffuses: it is no contribution of its own. */
export interface Learned {
  readonly contributionId: null;
  readonly epoch: number;
  readonly updateHash: null;
}

/** Whether nodes of this swarm diffuse where they reach no quorum; else they decide provisionally. */
export const diffuses = ({ genesis }: Pick<EpochContext, 'genesis'>): boolean => genesis.withoutQuorum === 'diffuse';

export class Diffusion {
  readonly #ctx: EpochContext;
  readonly #account: Account;
  readonly #mixing: Mixing;

  constructor(ctx: EpochContext, residual: Residual, listener: DiffusionListener) {
    this.#ctx = ctx;
    const { ports, genesis, spans, self } = ctx;
    const { clipNorm, scaleExponents } = genesis;
    this.#account = new Account({ store: ports.store, residual, spans, scaleExponents, clipNorm, turn: () => turn(ports.clock) });
    const isMember = (node: Fingerprint) =>
      ctx.chain.finalized.state.members.some((m) => m.fingerprint === node && m.status === 'active' && mayContribute(m.nodeClass));
    this.#mixing = new Mixing(
      {
        clock: ports.clock,
        streams: ports.streams,
        journal: ports.journal,
        self,
        isOn: () => this.isOn && isMember(self),
        base: () => ctx.chain.finalized.id,
        nodeOf: (peer) => {
          const node = ctx.directory.nodeOf(peer);
          return node !== undefined && isMember(node) ? node : undefined;
        },
        peerOf: (node) => peerOf(ctx, node),
        members: () => listener.trainers().filter((node) => node !== self && isMember(node) && peerOf(ctx, node) !== undefined),
        changed: () => listener.changed(),
        failed: (error) => listener.failed(error),
      },
      this.#account,
    );
  }

  /** What this node learns now goes to its neighbours, and not into a contribution. */
  get isOn(): boolean {
    return !this.#ctx.quorate && this.#ctx.pinned === undefined;
  }

  /** Undefined while a quorum is in reach. */
  get view(): DiffusionView | undefined {
    return this.isOn ? { round: this.#mixing.round, neighbours: this.#mixing.neighbours } : undefined;
  }

  start(): void {
    this.#mixing.start();
  }

  stop(): void {
    this.#mixing.stop();
  }

  /** Takes what a trainer learned; on disk when it resolves. Throws as `submit` does, and BAD_PARAMS for parameters. */
  async learn(submission: UpdateSubmission): Promise<Learned> {
    const { chain, spans, ports } = this.#ctx;
    const epoch = chain.head.state.epoch + 1;
    checkSubmission(this.#ctx, submission, epoch);
    if (submission.kind !== 'delta')
      throw new StarlingError('BAD_PARAMS', 'without a quorum the model of this node moves all the time: only a difference can be taken', {
        field: 'kind',
        phase: 'submit',
        fix: 'send new minus old parameters (kind=delta)',
      });
    await screen(submission.values, spans, () => turn(ports.clock));
    await this.#account.learn(submission.values);
    return { contributionId: null, epoch, updateHash: null };
  }

  /** Makes what has diffused here part of the next contribution. */
  absorb(): Promise<void> {
    return this.#account.absorb();
  }

  /** What this node would have if all it holds were final: the newest final model and all that is owed. P f32. Throws AGGREGATE_MISSING. */
  async model(): Promise<Float32Array> {
    const { chain, genesis } = this.#ctx;
    const model = Float32Array.from(await chain.model(chain.finalized.state.epoch));
    await this.#account.addTo(model, genesis.eta);
    return model;
  }
}
