/**
 * The base of this node: an archived block with the state after it, from which a restart replays. What is behind it is headers
 * and places (PROTOCOL section 3: pruning keeps tiles and headers).
 */
import { type ArchivedCut, ArchiveReader, segmentsOf } from '../consensus/index.ts';
import { EMPTY_ROOT, toHex } from '../crypto/index.ts';
import { isKind } from '../ledger/index.ts';
import { type ArchiveBase, type BlockHeader, type Genesis, StarlingError, type SwarmId, type SwarmState } from '../spec/index.ts';
import { encodeState, initialState, votersOf } from '../state/index.ts';
import { decodeSegment } from '../wire/index.ts';
import type { Applied, Chain } from './chain.ts';
import type { EpochContext } from './context.ts';
import type { BlockStore } from './ports.ts';

/** A base with everything behind it. */
export interface Archive {
  readonly state: SwarmState;
  readonly cuts: readonly ArchivedCut[];
}

/** Reads and checks what is on this node's disk, from the genesis on. Undefined where nothing is archived. Throws DATA_CORRUPT, BAD_ARCHIVE. */
export function readArchive(blocks: Pick<BlockStore, 'base' | 'segments'>, genesis: Genesis, swarm: SwarmId): Archive | undefined {
  const base = blocks.base();
  if (base === undefined) return undefined;
  const reader = new ArchiveReader({ swarm, state: initialState(genesis, swarm, toHex(EMPTY_ROOT)), leaves: [] });
  for (const segment of blocks.segments()) reader.add(segment);
  return reader.finish(base);
}

/** Stands a chain on an archive: `chain` must stand where its first cut begins, without provisional steps. */
export function standOn(chain: Chain, { state, cuts }: Archive): void {
  for (const { header, leaves, leavesHash } of cuts) chain.order.restore(header.epoch, leaves, leavesHash);
  chain.startFrom(state, (cuts.at(-1) as ArchivedCut).header.timeMs);
}

/** The header of an archived epoch. */
export function archivedHeader(blocks: Pick<BlockStore, 'segment'>, epoch: number): BlockHeader | undefined {
  const bytes = blocks.segment(epoch);
  return bytes === undefined ? undefined : decodeSegment(bytes).headers.find((header) => header.epoch === epoch);
}

/** Archives the final blocks of this node up to `epoch`. Durable when it returns; what a crash cuts off is done at the next start. */
export function archiveUpTo(ctx: EpochContext, epoch: number): void {
  const { chain, ports, replica } = ctx;
  const record = ports.blocks.get(epoch);
  if (record === undefined) throw new StarlingError('NOT_FOUND', `block ${epoch} is not on disk`, { phase: 'archive', field: 'epoch' });
  const { treeSize } = chain.base.state;
  const cuts = ownCuts(ctx, epoch);
  const { state } = chain.at(epoch) as Applied;
  ports.blocks.archive(segmentsOf(treeSize, cuts), { epoch, certificate: record.certificate, state: encodeState(state) });
  replica.archive(cuts.flatMap(({ places }) => places));
  chain.order.forget(treeSize, state.treeSize);
  chain.forgetBefore(epoch);
}

/** Takes what a peer's archive led to in the place of the blocks between. The chain then stands on its base. */
export function install(ctx: EpochContext, { state, cuts }: Archive, base: ArchiveBase): void {
  const { chain, ports, replica, directory } = ctx;
  const own = ownCuts(ctx, chain.finalized.state.epoch);
  const { treeSize } = chain.base.state;
  chain.rewind(chain.finalized.state.epoch);
  ports.blocks.archive(segmentsOf(treeSize, [...own, ...cuts]), base);
  const known = chain.finalized.state.treeSize;
  replica.archive([...own, ...cuts].flatMap(({ places }) => places));
  for (const { places } of cuts) for (const { entry } of places) if ('coreBytes' in entry) directory.learn(entry);
  chain.order.forget(treeSize, known);
  standOn(chain, { state, cuts });
}

/** The final blocks after the base up to `epoch`, as they are archived. */
function ownCuts({ chain, ports, replica: { graph } }: EpochContext, epoch: number): ArchivedCut[] {
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
    cuts.push({ header: block.header, leaves, places, leavesHash: state.leavesHash, handover });
  }
  return cuts;
}
