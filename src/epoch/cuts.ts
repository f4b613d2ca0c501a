import type { EntryId, Fingerprint } from '../spec/index.ts';
import type { Applied } from './chain.ts';
import type { EpochContext } from './context.ts';

/** Whether a block up to `base` holds this entry; a provisional step over it may too, and does not count. */
export function isCut(ctx: EpochContext, base: Applied, id: EntryId): boolean {
  const ordered = ctx.chain.find(id);
  return ordered !== undefined && ordered.epoch <= base.state.epoch;
}

/**
 * Whether an author's chain has forked and no block has dealt with it yet. Once both sides are final the state knows: it has
 * suspended the author, and a `resume` on the side that counts ends that (PROTOCOL section 1).
 */
export function isForked(ctx: EpochContext, author: Fingerprint): boolean {
  const { finalized } = ctx.chain;
  return ctx.replica.graph.forksOf(author).some((fork) => !fork.ids.every((id) => isCut(ctx, finalized, id)));
}
