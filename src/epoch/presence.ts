/** This node's own membership: its join, and its return from whatever the swarm made of an absence. */
import { votersOf } from '../state/index.ts';
import type { EpochContext } from './context.ts';
import type { Desk } from './desk.ts';
import { join, resume, resumeForked } from './join.ts';
import type { Peering } from './peering.ts';

/** Ms that a start waits for a first peer before it writes to its own chain (one identity, one process). */
const FIRST_SYNC_MS = 5_000;

export class Presence {
  readonly #ctx: EpochContext;
  readonly #peering: Peering;
  readonly #desk: () => Desk;
  readonly #joined: () => void;
  readonly #begun = Promise.withResolvers<void>();
  #hasJoined = false;

  /** `joined` is called once this node's chain has begun. */
  constructor(ctx: EpochContext, peering: Peering, desk: () => Desk, joined: () => void) {
    this.#ctx = ctx;
    this.#peering = peering;
    this.#desk = desk;
    this.#joined = joined;
  }

  /** Writes the join entry that this node's chain starts with, after it has asked what the others hold of it. */
  async join({ alone, founds }: { readonly alone: boolean; readonly founds: boolean }): Promise<void> {
    // One that has written before may be the only one left. A blank one may have lost what it wrote: it can only ask.
    if (this.#ctx.replica.tip === undefined && !founds) await this.#heardAtAll();
    else if (!alone) await this.#peering.heard(FIRST_SYNC_MS, 0);
    if (!founds) await this.#swarmFound();
    await this.#chainFound();
    if (this.#desk().isLeaving) return;
    const entry = join(this.#ctx) ?? (this.#ctx.pinned === undefined ? (resumeForked(this.#ctx) ?? resume(this.#ctx)) : undefined);
    this.#hasJoined = true;
    this.#joined();
    if (entry === undefined) return;
    const told = this.#ctx.ports.streams.peers().map((peer) => this.#peering.syncWith(peer));
    await this.#desk().say(entry);
    await Promise.all(told);
  }

  /** Waits until a peer has told what it holds, for as long as it takes. */
  #heardAtAll(): Promise<void> {
    const { clock, journal } = this.#ctx.ports;
    const warning = clock.after(FIRST_SYNC_MS, () =>
      journal.log('warn', 'epoch', "this node's ledger is empty; it waits for a peer that tells what it holds", {
        fix: 'see `starling peers`, and start with --bootstrap and the address of a member',
      }),
    );
    return this.#peering.heard(FIRST_SYNC_MS, 1).finally(() => warning.cancel());
  }

  /**
   * The first committee may be one founder alone. One that has lost its blocks would begin the swarm a second time, with
   * whoever it reaches first: it signs nothing before it holds a block of the first.
   */
  async #swarmFound(): Promise<void> {
    const { chain, self, ports } = this.#ctx;
    const { state } = chain.finalized;
    if (state.epoch > 0 || votersOf(state).some((voter) => voter !== self) || votersOf(state).length === 0) return;
    ports.journal.log('warn', 'epoch', 'this node has founded the swarm and holds no block of it; it waits for a peer that does', {
      fix: 'start with --bootstrap and the address of a member; where nobody has a block, found a new swarm',
    });
    await this.#begun.promise;
  }

  /** A node that lost its archive signs nothing before a peer gave it one: alone it could only begin a second chain. */
  #chainFound(): Promise<void> {
    const { journal } = this.#ctx.ports;
    const { replica } = this.#ctx;
    return new Promise((resolve) => {
      if (!replica.isCutOff) return resolve();
      journal.log('warn', 'epoch', "this node's entries stand on an archive that is lost; it waits for a peer that has it");
      replica.onAccepted(() => {
        if (!replica.isCutOff) resolve();
      });
    });
  }

  /** Takes back what the swarm made of an absence that is over. */
  async stay(): Promise<void> {
    this.#begun.resolve();
    if (!this.#hasJoined || this.#desk().isLeaving || this.#ctx.pinned !== undefined) return;
    const entry = resume(this.#ctx);
    if (entry !== undefined) await this.#desk().say(entry);
  }
}
