/** Moves the chain on: applies the blocks and decisions that can be applied, one run at a time, and makes their model available. */
import type { BlockHash, DecisionId, Hex } from '../spec/index.ts';
import { apply } from './apply.ts';
import type { Applied } from './chain.ts';
import type { Committee } from './committee.ts';
import { type EpochContext, plantDecisions } from './context.ts';
import { ensureModel } from './modelPull.ts';
import type { Residual } from './residual.ts';
import type { Timers } from './timers.ts';

/** Ms after which what failed, or what is missing, is looked at again. */
const RETRY_MS = 500;

export interface AdvancerListener {
  /** What the present epoch builds on. */
  readonly base: BlockHash | DecisionId;
  /** The head is another one. `applied`, oldest first: empty where provisional steps were dropped. */
  moved(applied: readonly Applied[]): void;
  /** A final block is here, and something that it stands on is not. */
  askAround(): void;
}

export class Advancer {
  readonly #ctx: EpochContext;
  readonly #committee: Committee;
  readonly #residual: Residual;
  readonly #timers: Timers;
  readonly #listener: AdvancerListener;
  #running: Promise<void> | undefined;
  #again = false;
  /** The newest model is being made or pulled. */
  #holding: Promise<void> | undefined;
  /** Why that failed, where no peer is to blame. */
  #failure: unknown;
  /** Ends a wait for the model: a block is here that can be applied. */
  #goOn: () => void = () => undefined;

  constructor(ctx: EpochContext, committee: Committee, residual: Residual, timers: Timers, listener: AdvancerListener) {
    this.#ctx = ctx;
    this.#committee = committee;
    this.#residual = residual;
    this.#timers = timers;
    this.#listener = listener;
  }

  /** Applies what can be applied; a call while a run goes on makes it look again. What fails is tried again, and thrown. */
  advance(): Promise<void> {
    this.#again = true;
    const { chain, finals } = this.#ctx;
    if (finals.has(chain.finalized.state.epoch + 1)) this.#goOn();
    this.#running ??= this.#run().catch((error: unknown) => {
      // A disk may have room again: nobody else would call for a block that is here.
      this.#timers.once('advance', RETRY_MS, () => void this.advance().catch(() => undefined));
      throw error;
    });
    return this.#running;
  }

  /** Resolves when no run goes on, however it ended. */
  async atRest(): Promise<void> {
    await this.#running?.catch(() => undefined);
  }

  async #run(): Promise<void> {
    try {
      while (this.#again) await this.#look();
    } finally {
      // At once: a call that comes later must begin another run.
      this.#running = undefined;
    }
  }

  async #look(): Promise<void> {
    const { chain, finals, ports } = this.#ctx;
    this.#again = false;
    const sinceMs = ports.clock.nowMs();
    let applied: Applied[] = [];
    try {
      applied = await apply(this.#ctx);
    } finally {
      // Also where a later one failed: what is final is final, and the vote goes on over it.
      this.#followFinal();
    }
    if (finals.get(chain.finalized.state.epoch + 1) !== undefined)
      this.#timers.once('ask', RETRY_MS, () => {
        this.#listener.askAround();
        void this.advance().catch(() => undefined);
      });
    if (applied.length === 0 && this.#listener.base === chain.head.id) return;
    await this.#modelOrBlock();
    if (this.#ctx.pinned === undefined)
      // Aged by what is final: what a provisional step took may come back however many have followed it.
      await this.#residual.settle((updateHash, epoch) => this.#isRostered(updateHash, epoch), chain.finalized.state.epoch);
    for (const one of applied) this.#say(one, sinceMs);
    this.#listener.moved(applied);
  }

  #say({ id, block, body, state }: Applied, sinceMs: number): void {
    const { journal, clock } = this.#ctx.ports;
    this.#ctx.timeline.mark(state.epoch, 'apply', sinceMs);
    journal.observe('apply_ms', clock.nowMs() - sinceMs);
    journal.log('info', 'epoch', block === undefined ? 'applied provisionally' : 'finalised', {
      epoch: state.epoch,
      [block === undefined ? 'decision' : 'block']: id,
      roster: body?.roster.length ?? 0,
      modelRoot: state.modelRoot,
    });
  }

  #followFinal(): void {
    const { chain, decisions } = this.#ctx;
    const { voting } = this.#committee;
    if (decisions.root !== chain.finalized.id) plantDecisions(this.#ctx);
    if (voting.base === chain.finalized || this.#ctx.pinned !== undefined) return;
    if (voting.proposedMs !== undefined) this.#ctx.timeline.mark(voting.epoch, 'finalise', voting.proposedMs);
    this.#committee.blockApplied();
    this.#committee.announce();
  }

  /**
   * Resolves when the newest model is here, no peer gives it, or the next block has come: a pull may take longer than an epoch.
   * Blocks are applied while it goes on, and their epochs collected: their sums lead from the pulled model to the newest.
   */
  async #modelOrBlock(): Promise<void> {
    const block = Promise.withResolvers<void>();
    this.#goOn = block.resolve;
    const isPulled = this.#holding !== undefined;
    const model = this.#holdModel();
    if (!isPulled) await Promise.race([model, block.promise]);
    if (this.#failure === undefined) return;
    const failure = this.#failure;
    this.#failure = undefined;
    throw failure;
  }

  /** Without the newest model nothing can be learned or voted on here: it is asked for until a peer gives it. One run at a time. */
  #holdModel(): Promise<void> {
    this.#holding ??= this.#tryHoldModel()
      .catch((error: unknown) => {
        this.#failure = error;
      })
      .finally(() => {
        this.#holding = undefined;
      });
    return this.#holding;
  }

  async #tryHoldModel(): Promise<void> {
    const { chain } = this.#ctx;
    for (let wanted = ''; wanted !== chain.head.id; ) {
      wanted = chain.head.id;
      if (await ensureModel(this.#ctx)) continue;
      this.#timers.once('model', RETRY_MS, () => void this.#holdModel().then(() => this.advance().catch(() => undefined)));
      return;
    }
  }

  /** Whether the chosen decision of `epoch` holds this own update; undefined where it is archived. */
  #isRostered(updateHash: Hex, epoch: number): boolean | undefined {
    const { chain, self } = this.#ctx;
    if (epoch <= chain.base.state.epoch) return undefined;
    const applied = chain.at(epoch);
    const body = applied?.body;
    return (
      body !== undefined &&
      // What the committee refused, or what a restored model took the place of, is in no model.
      applied?.state.refused === false &&
      applied.restored === undefined &&
      chain.contributionsOf(body).some((e) => e.core.author === self && e.core.body.updateHash === updateHash)
    );
  }
}
