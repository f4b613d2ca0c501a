/** What the network brings, judged and handed on. Registers the handlers of every protocol of the swarm. */
import { equals } from 'uint8arrays';
import { asStarlingError, type EntryId, MAX_ROSTER, type PeerId, type Verdict } from '../spec/index.ts';
import { decodeRosterBundle, type Have, votesTopic } from '../wire/index.ts';
import { serveHeader } from './aggregates.ts';
import { serveArchive } from './archiveSync.ts';
import { serveBlocks } from './blockSync.ts';
import { isWorthKeeping } from './collector.ts';
import type { Committee } from './committee.ts';
import type { EpochContext } from './context.ts';
import { servedBlobs, serveKeys } from './fetch.ts';
import { isVerified, type RosterKind, type RosterMessage, type RosterTalk } from './roster.ts';
import { serveContent } from './served.ts';
import type { LedgerSync } from './sync.ts';
import { verifyGossip } from './verify.ts';

/** What the inbox tells whoever drives the epoch. */
export interface InboxListener {
  readonly talk: RosterTalk;
  readonly committee: Pick<Committee, 'gossip'>;
  /** Values of this contribution may have become readable. */
  updateNews(id: EntryId): void;
  trainerNews(have: Have): void;
  /** Somebody's freeze or preference has become known. */
  rosterNews(): void;
  /** This peer stands on something that is not here. */
  behind(peer: PeerId): void;
  fatal(error: unknown): void;
}

/** Roster messages kept for the next epoch, which some begin before this node: one of each kind and node. */
const MAX_EARLY = 3 * MAX_ROSTER;

export class Inbox {
  readonly #ctx: EpochContext;
  readonly #listener: InboxListener;
  readonly #early = new Map<string, { readonly message: RosterMessage; readonly kind: RosterKind }>();

  constructor(ctx: EpochContext, listener: InboxListener, sync: LedgerSync) {
    this.#ctx = ctx;
    this.#listener = listener;
    const { gossip, streams } = ctx.ports;
    gossip.onMessage((topic, data, from) => this.#gossip(topic, data, from));
    streams.handle('roster', async (from, payload) => this.#roster(from, payload));
    streams.handle('sync', async (from, payload) => this.#guard(() => sync.serve(from, payload)));
    streams.handle('content', serveContent(servedBlobs(ctx)));
    streams.handle('blocks', async (_from, payload) => serveBlocks(ctx, payload));
    streams.handle('archive', async (_from, payload) => serveArchive(ctx, payload));
    streams.handle('head', (_from, payload) => serveHeader(ctx, payload));
    streams.handle('keys', async (from, payload) => {
      const { reply, pushed } = serveKeys(ctx, from, payload);
      for (const id of pushed) listener.updateNews(id);
      return reply;
    });
  }

  /** Takes what came too early for the last epoch and fits this one. */
  replay(): void {
    const early = [...this.#early.values()];
    this.#early.clear();
    for (const { message, kind } of early) this.#take(message, kind);
  }

  async #gossip(topic: string, data: Uint8Array, from: PeerId): Promise<Verdict> {
    const { verdict, missing, update } = this.#guard(() =>
      topic === votesTopic(this.#ctx.swarm)
        ? { verdict: this.#listener.committee.gossip(data, from), missing: [], update: undefined }
        : verifyGossip(this.#ctx, topic, data),
    );
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
    if (!isWorthKeeping(this.#ctx, update.entry)) return verdict;
    this.#ctx.updates.expect(update.entry);
    if (update.inline !== null) this.#ctx.updates.offerSealed(update.entry.id, update.cipherRoot, update.inline);
    this.#listener.updateNews(update.entry.id);
    return verdict;
  }

  async #roster(from: PeerId, payload: Uint8Array): Promise<undefined> {
    const { haves, attests, stances } = decodeRosterBundle(payload);
    let behind = false;
    const take = (message: RosterMessage, kind: RosterKind) => {
      if (!this.#take(message, kind, from)) behind = true;
    };
    for (const have of haves) take(have, 'have');
    for (const attest of attests) take(attest, 'attest');
    for (const stance of stances) take(stance, 'stance');
    if (behind) this.#listener.behind(from);
    return undefined;
  }

  /** False when the message stands on an epoch or base that is not (yet) this node's, or its node is not known. */
  #take(message: RosterMessage, kind: RosterKind, from?: PeerId): boolean {
    const { talk } = this.#listener;
    if (message.epoch === talk.epoch && message.base === talk.base) {
      const have = talk.receive(message, kind, from);
      if (have !== undefined) this.#listener.trainerNews(have);
      if (kind !== 'have') this.#listener.rosterNews();
      return this.#ctx.replica.graph.certificateOf(message.node) !== undefined;
    }
    // An epoch behind it parks what it is told; further behind, or on another branch, it does not.
    if (from !== undefined && message.epoch <= talk.epoch && message.epoch !== talk.epoch - 1) talk.partFrom(from);
    if (message.epoch < talk.epoch) return true;
    if (message.epoch <= talk.epoch + 1) this.#park(message, kind);
    return false;
  }

  #park(message: RosterMessage, kind: RosterKind): void {
    const place = `${kind}/${message.node}`;
    const parked = this.#early.get(place)?.message;
    if (parked !== undefined && equals(parked.signature, message.signature)) return;
    if ((parked === undefined && this.#early.size >= MAX_EARLY) || !isVerified(this.#ctx, message, kind)) return;
    this.#early.set(place, { message, kind });
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
