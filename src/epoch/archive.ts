/**
 * The base of this node: an archived block with the state after it, from which a restart replays. What is behind it is headers
 * and places (PROTOCOL section 3: pruning keeps tiles and headers).
 */
import { type ArchivedCut, ArchiveReader } from '../consensus/index.ts';
import { EMPTY_ROOT, toHex } from '../crypto/index.ts';
import type { BlockHeader, Genesis, SwarmId, SwarmState } from '../spec/index.ts';
import { initialState } from '../state/index.ts';
import { decodeSegment } from '../wire/index.ts';
import type { Chain } from './chain.ts';
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
