import { EPOCHS_AHEAD, type SwarmId } from '../spec/index.ts';
import { epochTopic } from '../wire/index.ts';
import type { Gossip } from './ports.ts';

/** The epoch topics this node is on: this epoch's and the next's, and the last one's while it runs out. */
export class EpochTopics {
  readonly #gossip: Gossip;
  readonly #swarm: SwarmId;
  readonly #held = new Set<number>();

  constructor(gossip: Gossip, swarm: SwarmId) {
    this.#gossip = gossip;
    this.#swarm = swarm;
  }

  /** Wherever the head came from, every topic that is not of these epochs is left. */
  listen(epoch: number): void {
    for (let n = epoch; n <= epoch + EPOCHS_AHEAD; n++) this.#held.add(n);
    for (const n of this.#held) {
      if (n >= epoch - 1 && n <= epoch + EPOCHS_AHEAD) this.#gossip.subscribe(epochTopic(this.#swarm, n));
      else if (this.#held.delete(n)) this.#gossip.unsubscribe(epochTopic(this.#swarm, n));
    }
  }
}
