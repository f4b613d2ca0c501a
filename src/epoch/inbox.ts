/** What the network brings, judged and handed on. Registers the handlers of every protocol of the swarm. */
import { contentOf } from '../crypto/index.ts';
import { asStarlingError, type EntryId, type PeerId, reject, type Verdict } from '../spec/index.ts';
import { type Attest, decodeRosterBundle, type Have, type Stance } from '../wire/index.ts';
import { serveHeader } from './aggregates.ts';
import type { EpochContext } from './context.ts';
import { servedBlobs, serveKeys } from './fetch.ts';
import { serveContent } from './pull.ts';
import type { RosterTalk } from './roster.ts';
import type { LedgerSync } from './sync.ts';
import { verifyGossip } from './verify.ts';

/** What the inbox tells whoever drives the epoch. */
export interface InboxListener {
  readonly talk: RosterTalk;
  /** Values of this contribution may have become readable. */
  updateNews(id: EntryId): void;
  trainerNews(have: Have): void;
  /** Somebody's freeze has become known. */
  attestNews(): void;
  /** This peer stands on something that is not here. */
  behind(peer: PeerId): void;
  fatal(error: unknown): void;
}

/** Roster messages of the next epoch that come before it begins here: thirty for each of seventy nodes. */
const MAX_EARLY = 2_048;

interface Early {
  readonly message: Have | Attest | Stance;
  readonly kind: 'have' | 'attest' | 'stance';
}

export class Inbox {
  readonly #ctx: EpochContext;
  readonly #listener: InboxListener;
  #early: Early[] = [];

  constructor(ctx: EpochContext, listener: InboxListener, sync: LedgerSync) {
    this.#ctx = ctx;
    this.#listener = listener;
    const { gossip, streams } = ctx.ports;
    gossip.onMessage((topic, data, from) => this.#gossip(topic, data, from));
    streams.handle('roster', async (from, payload) => this.#roster(from, payload));
    streams.handle('sync', async (from, payload) => this.#guard(() => sync.serve(from, payload)));
    streams.handle('content', serveContent(servedBlobs(ctx)));
    streams.handle('head', (_from, payload) => serveHeader(ctx, payload));
    streams.handle('keys', async (from, payload) => {
      const { reply, pushed } = serveKeys(ctx, from, payload);
      for (const id of pushed) listener.updateNews(id);
      return reply;
    });
  }

  /** Takes what came too early for the last epoch and fits this one. */
  replay(): void {
    const early = this.#early;
    this.#early = [];
    for (const { message, kind } of early) this.#take(message, kind);
  }

  async #gossip(topic: string, data: Uint8Array, from: PeerId): Promise<Verdict> {
    const { verdict, missing, update } = this.#guard(() => verifyGossip(this.#ctx, topic, data));
    if (verdict.kind !== 'accept') {
      this.#ctx.ports.journal.count('gossip_refused', 1, { code: verdict.code, verdict: verdict.kind });
      if (verdict.kind === 'reject')
        this.#ctx.ports.journal.log('warn', 'epoch', 'a gossip message was rejected', {
          peer: from,
          topic,
          code: verdict.code,
          reason: verdict.reason,
        });
    }
    if (missing.length > 0) this.#listener.behind(from);
    if (update === undefined) return verdict;
    this.#ctx.updates.expect(update.entry);
    if (update.inline !== null) {
      // [REJECT] the bytes that ride along are not those the manifest names
      if (contentOf(update.inline).root !== update.cipherRoot)
        return reject('HASH_MISMATCH', 'the inline update does not hash to its root');
      this.#ctx.updates.offerSealed(update.entry.id, update.cipherRoot, update.inline);
    }
    this.#listener.updateNews(update.entry.id);
    return verdict;
  }

  async #roster(from: PeerId, payload: Uint8Array): Promise<undefined> {
    const { haves, attests, stances } = decodeRosterBundle(payload);
    let behind = false;
    const take = (message: Have | Attest | Stance, kind: Early['kind']) => {
      if (!this.#take(message, kind)) behind = true;
    };
    for (const have of haves) take(have, 'have');
    for (const attest of attests) take(attest, 'attest');
    for (const stance of stances) take(stance, 'stance');
    if (behind) this.#listener.behind(from);
    return undefined;
  }

  /** False when the message stands on an epoch or base that is not (yet) this node's. */
  #take(message: Have | Attest | Stance, kind: Early['kind']): boolean {
    const { talk } = this.#listener;
    if (message.epoch === talk.epoch && message.base === talk.base) {
      try {
        const have = talk.receive(message, kind);
        if (have !== undefined) this.#listener.trainerNews(have);
        if (kind === 'attest') this.#listener.attestNews();
      } catch (error) {
        this.#ctx.ports.journal.log('warn', 'epoch', 'a roster message was refused', {
          node: message.node,
          ...asStarlingError(error).toJSON(),
        });
      }
      // A node not known yet: its join is with whoever relayed this.
      return this.#ctx.replica.graph.certificateOf(message.node) !== undefined;
    }
    if (message.epoch < talk.epoch) return true;
    if (message.epoch <= talk.epoch + 1 && this.#early.length < MAX_EARLY) this.#early.push({ message, kind });
    return false;
  }

  /** Two daemons with one identity, or a disk that fails, end this one: going on would do harm. */
  #guard<T>(run: () => T): T {
    try {
      return run();
    } catch (error) {
      const { code } = asStarlingError(error);
      if (code === 'IDENTITY_IN_USE' || code === 'DATA_CORRUPT') this.#listener.fatal(error);
      throw error;
    }
  }
}
