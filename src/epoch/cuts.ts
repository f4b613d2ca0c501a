import type { EntryId } from '../spec/index.ts';
import type { Applied } from './chain.ts';
import type { EpochContext } from './context.ts';

/** Whether a block up to `base` holds this entry; a provisional step over it may too, and does not count. */
export function isCut(ctx: EpochContext, base: Applied, id: EntryId): boolean {
  const ordered = ctx.chain.find(id);
  return ordered !== undefined && ordered.epoch <= base.state.epoch;
}
