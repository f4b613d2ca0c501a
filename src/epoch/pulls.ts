/** Pulls of large content that end and are tried again, and that give to others what has come. */
import { NeighbourBandit } from '../aggregation/index.ts';
import { type ContentRoot, MIB, type PeerId } from '../spec/index.ts';
import { type Partial, type Parts, partialOf, partsOf } from './parts.ts';
import type { Clock, Streams } from './ports.ts';
import { type Holders, Pull, type PullOptions, type Shared } from './pull.ts';

/**
 * Bytes. What attempts have left, for the next one: the update or model of 64 million parameters, or of several smaller ones. What was
 * left longest ago goes first; the newest stays, whatever it takes.
 */
const LEFT_MAX_BYTES = 256 * MIB;

/** Pulls whose next attempt asks only for what has not come: a holder may go, and an epoch end, before large content is here. */
export class Pulls {
  readonly #running = new Map<ContentRoot, { readonly parts: Parts; readonly result: Promise<Uint8Array> }>();
  readonly #unfinished = new Map<ContentRoot, Parts>();
  #count = 0;
  readonly #shared: Shared;
  readonly #leftMaxBytes: number;

  constructor(clock: Pick<Clock, 'nowMs'>, leftMaxBytes = LEFT_MAX_BYTES) {
    this.#shared = { bandit: new NeighbourBandit(), nowMs: () => clock.nowMs(), isSharedBy: () => this.#count };
    this.#leftMaxBytes = leftMaxBytes;
  }

  /** A peer has gone: how fast it was tells nothing of how it will be. */
  forget(peer: PeerId): void {
    this.#shared.bandit.forget(peer);
  }

  /**
   * As `pullContent`. A pull of the same content that goes on already is joined, with its holders. What an attempt leaves is
   * kept within LEFT_MAX_BYTES.
   */
  pull(
    streams: Pick<Streams, 'request'>,
    holders: Holders,
    root: ContentRoot,
    sizeBytes: number,
    options: PullOptions,
  ): Promise<Uint8Array> {
    const running = this.#running.get(root);
    if (running?.parts.content.byteLength === sizeBytes) return running.result;
    const left = this.#unfinished.get(root);
    const parts = left?.content.byteLength === sizeBytes ? left : partsOf(root, sizeBytes);
    this.#unfinished.delete(root);
    const result = this.#run(new Pull(streams, holders, parts, options, this.#shared), parts);
    this.#running.set(root, { parts, result });
    return result;
  }

  /** What is here of content that is pulled, or that a pull has left. */
  partial(root: ContentRoot): Partial | undefined {
    const parts = this.#running.get(root)?.parts ?? this.#unfinished.get(root);
    return parts === undefined ? undefined : partialOf(parts);
  }

  async #run(pull: Pull, parts: Parts): Promise<Uint8Array> {
    this.#count += 1;
    try {
      return await pull.run();
    } catch (error) {
      if (parts.leaves !== undefined && parts.missing.size < parts.leaves.length) this.#keep(parts);
      throw error;
    } finally {
      this.#count -= 1;
      if (this.#running.get(parts.root)?.parts === parts) this.#running.delete(parts.root);
    }
  }

  #keep(parts: Parts): void {
    this.#unfinished.set(parts.root, parts);
    let bytes = 0;
    for (const { root, content } of [...this.#unfinished.values()].reverse()) {
      bytes += content.byteLength;
      if (bytes > this.#leftMaxBytes && root !== parts.root) this.#unfinished.delete(root);
    }
  }
}
