/** What an entry that has come onto the ledger sets going. */
import { type EntryOf, isKind } from '../ledger/index.ts';
import type { EntryId, PeerId, SignedEntry } from '../spec/index.ts';
import { type EpochContext, learnDecision, peerOf } from './context.ts';
import { pendingJoins } from './join.ts';

export interface LedgerListener {
  /** What the ledger has grown by may be what something waits for. */
  entryNews(): void;
  /** This peer stands on something that is not here. */
  behind(peer: PeerId): void;
  /** The chain may go on. */
  finalNews(): void;
  contributed(entry: EntryOf<'contribution'>): void;
  /** Somebody joins, leaves or casts a ballot; `join`: the entry to roster. */
  membershipNews(join?: EntryId): void;
}

export function heed(ctx: EpochContext, entry: SignedEntry, listener: LedgerListener): void {
  ctx.directory.learn(entry);
  if (ctx.finals.has(ctx.chain.finalized.state.epoch + 1)) listener.finalNews();
  listener.entryNews();
  if (isKind(entry, 'decision')) {
    if (!learnDecision(ctx, entry)) return;
    // A roster is named, not depended on: what it names may not have come yet, and its author holds it.
    const author = peerOf(ctx, entry.core.author);
    if (author !== undefined && entry.core.body.roster.some((id) => !ctx.replica.graph.has(id))) listener.behind(author);
    listener.finalNews();
  } else if (isKind(entry, 'contribution')) listener.contributed(entry);
  else if (isKind(entry, 'membership') || isKind(entry, 'ballot')) {
    ctx.notices.add(entry.id);
    if (ctx.quorate) listener.membershipNews();
  } else if (isKind(entry, 'join') && pendingJoins(ctx).includes(entry.id)) listener.membershipNews(entry.id);
}
