import type { Journal } from '../epoch/ports.ts';
import type { PeerId } from '../spec/index.ts';
import type { Dialler } from './dialler.ts';
import { SAVE_DELAY_MS } from './limits.ts';
import type { PeerTable } from './peerTable.ts';

export interface KnownPeer {
  readonly peerId: PeerId;
  readonly addresses: readonly string[];
}

/** Peers that were reached before, kept over restarts: the best bootstrap there is. */
export interface PeerBook {
  load(): Promise<readonly KnownPeer[]>;
  save(peers: readonly KnownPeer[]): Promise<void>;
}

/** Dials what the book remembers, and writes it again a moment after the peers change. */
export class PeerMemory {
  readonly #book: PeerBook;
  readonly #dialler: Dialler;
  readonly #journal: Journal;
  #timer: NodeJS.Timeout | undefined;
  #isStopped = false;

  constructor(book: PeerBook, parts: { readonly dialler: Dialler; readonly peers: PeerTable; readonly journal: Journal }) {
    this.#book = book;
    this.#dialler = parts.dialler;
    this.#journal = parts.journal;
    parts.peers.onPeer(() => this.#changed());
  }

  /** A book that cannot be read costs the memory of peers, not the start. */
  async start(): Promise<void> {
    try {
      for (const { addresses } of await this.#book.load()) this.#dialler.know(addresses, 'memory');
    } catch (error) {
      this.#journal.log('warn', 'network', 'the remembered peers cannot be read; only bootstrap addresses are dialled', {
        reason: (error as Error).message,
      });
    }
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    await this.#save();
  }

  #changed(): void {
    if (this.#isStopped) return;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      void this.#save();
    }, SAVE_DELAY_MS);
  }

  async #save(): Promise<void> {
    try {
      await this.#book.save(this.#dialler.known());
    } catch (error) {
      this.#journal.log('warn', 'network', 'the known peers cannot be saved', { reason: (error as Error).message });
    }
  }
}
