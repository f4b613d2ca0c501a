/** A final chain as a node archives it. */
import { type ArchivedCut, segmentsOf } from '../../src/consensus/index.ts';
import { isKind } from '../../src/ledger/index.ts';
import type { ArchiveBase, ArchiveSegment, SignedEntry, SwarmState } from '../../src/spec/index.ts';
import { encodeState, votersOf } from '../../src/state/index.ts';
import type { FinalChain } from './finalChain.ts';

const stateAt = (chain: FinalChain, epoch: number): SwarmState => chain.states[epoch] as SwarmState;

/** Cuts of the epochs `from` to `to`. `sparse`: with no certificate but those of handovers and of the last. */
export function cutsOf(chain: FinalChain, from: number, to: number, sparse = false): ArchivedCut[] {
  return Array.from({ length: to - from + 1 }, (_, i) => {
    const epoch = from + i;
    const { block, certificate } = chain.block(epoch);
    const state = stateAt(chain, epoch);
    const leaves = chain.order.leaves(stateAt(chain, epoch - 1).treeSize, state.treeSize);
    const places = leaves.map(({ id }) => {
      const entry = chain.graph.get(id) as SignedEntry;
      const { author, seq, lam, prev } = entry.core;
      return { entry: isKind(entry, 'join') ? entry : { id, core: { author, seq, lam } }, prev };
    });
    const isHandover = block.header.votersHash !== block.header.nextVotersHash;
    const handover = isHandover ? { certificate, voters: votersOf(state) } : undefined;
    const held = !sparse || isHandover || epoch === to ? certificate : undefined;
    return { header: block.header, leaves, places, leavesHash: state.leavesHash, handover, certificate: held };
  });
}

/** One segment of the epochs `from` to `to`. */
export function segmentAt(chain: FinalChain, from: number, to: number): ArchiveSegment {
  const [segment] = segmentsOf(stateAt(chain, from - 1).treeSize, cutsOf(chain, from, to));
  return segment as ArchiveSegment;
}

export const baseOf = (chain: FinalChain, epoch: number): ArchiveBase => ({
  epoch,
  certificate: chain.block(epoch).certificate,
  state: encodeState(stateAt(chain, epoch)),
});
