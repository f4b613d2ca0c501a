/** Moves the base of this node: by its own blocks, or to that of a peer. */
import { type ArchivedCut, segmentsOf } from '../consensus/index.ts';
import { isKind, isWhole } from '../ledger/index.ts';
import { type ArchiveBase, StarlingError } from '../spec/index.ts';
import { encodeState, votersOf } from '../state/index.ts';
import { type Archive, standOn } from './archive.ts';
import type { Applied } from './chain.ts';
import type { EpochContext } from './context.ts';

/** What an archive is made of, and what it takes the place of. */
type Archiving = Pick<EpochContext, 'chain' | 'replica'> & { readonly ports: Pick<EpochContext['ports'], 'blocks'> };

/**
 * Archives the final blocks of this node up to `epoch`. Durable before anything changes in memory; entries that a crash or a full
 * disk leaves behind are dropped at the next start.
 */
export function archiveUpTo(ctx: Archiving, epoch: number): void {
  const { chain, ports, replica } = ctx;
  const record = ports.blocks.get(epoch);
  if (record === undefined) throw new StarlingError('NOT_FOUND', `block ${epoch} is not on disk`, { phase: 'archive', field: 'epoch' });
  const { treeSize } = chain.base.state;
  const cuts = ownCuts(ctx, epoch);
  const { state } = chain.at(epoch) as Applied;
  ports.blocks.archive(segmentsOf(treeSize, cuts), { epoch, certificate: record.certificate, state: encodeState(state) });
  const places = cuts.flatMap((cut) => cut.places);
  replica.archive(places);
  chain.order.forget(treeSize, state.treeSize);
  chain.forgetBefore(epoch);
  replica.dropArchived(places);
}

/**
 * Takes what a peer's archive led to in the place of the blocks between. The chain then stands on its base, and only then do
 * entries that waited for what is behind it count: whoever hears of them asks the chain.
 */
export function install(ctx: EpochContext, { state, cuts }: Archive, base: ArchiveBase): void {
  const { chain, finals, ports, replica, directory } = ctx;
  const own = ownCuts(ctx, chain.finalized.state.epoch);
  const { treeSize } = chain.base.state;
  chain.rewind(chain.finalized.state.epoch);
  ports.blocks.archive(segmentsOf(treeSize, [...own, ...cuts]), base);
  const known = chain.finalized.state.treeSize;
  const places = [...own, ...cuts].flatMap((cut) => cut.places);
  replica.archive(places);
  for (const { entry } of places) if (isWhole(entry)) directory.learn(entry);
  chain.order.forget(treeSize, known);
  standOn(chain, { state, cuts });
  finals.dropUpTo(base.epoch);
  replica.dropArchived(places);
}

/** The final blocks after the base up to `epoch`, as they are archived. */
function ownCuts({ chain, ports, replica: { graph } }: Archiving, epoch: number): ArchivedCut[] {
  const cuts: ArchivedCut[] = [];
  for (let n = chain.base.state.epoch + 1; n <= epoch; n++) {
    const { block, state } = chain.at(n) as Applied;
    const certificate = ports.blocks.get(n)?.certificate;
    if (block === undefined || certificate === undefined)
      throw new StarlingError('NOT_FOUND', `block ${n} is not on disk`, { phase: 'archive', field: 'epoch' });
    const from = (chain.at(n - 1) as Applied).state.treeSize;
    const leaves = chain.order.leaves(from, state.treeSize);
    const places = leaves.map(({ id }) => {
      const entry = graph.get(id);
      if (entry === undefined) throw new StarlingError('UNKNOWN_ENTRY', `entry ${id} is not held`, { phase: 'archive', field: 'id' });
      const { author, seq, lam, prev } = entry.core;
      return { entry: isKind(entry, 'join') ? entry : { id, core: { author, seq, lam } }, prev };
    });
    const isHandover = block.header.votersHash !== block.header.nextVotersHash;
    const handover = isHandover ? { certificate, voters: votersOf(state) } : undefined;
    cuts.push({ header: block.header, leaves, places, leavesHash: state.leavesHash, handover, certificate });
  }
  return cuts;
}
