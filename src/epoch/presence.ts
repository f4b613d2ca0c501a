/** This node's own membership: its join, and its return from whatever the swarm made of an absence. */
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
  #hasJoined = false;

  /** `joined` is called once this node's chain has begun. */
  constructor(ctx: EpochContext, peering: Peering, desk: () => Desk, joined: () => void) {
    this.#ctx = ctx;
    this.#peering = peering;
    this.#desk = desk;
    this.#joined = joined;
  }

  /** Writes the join entry that this node's chain starts with, after it has asked what the others hold of it. */
  async join(isAlone: boolean): Promise<void> {
    if (!isAlone) await this.#peering.heard(FIRST_SYNC_MS);
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
    if (!this.#hasJoined || this.#desk().isLeaving || this.#ctx.pinned !== undefined) return;
    const entry = resume(this.#ctx);
    if (entry !== undefined) await this.#desk().say(entry);
  }
}
