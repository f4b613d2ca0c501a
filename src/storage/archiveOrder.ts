import { type ArchiveBase, type ArchiveSegment, StarlingError } from '../spec/index.ts';

/** Where the archive ends: its last epoch, and the leaves of the tree after it. Zeros for an empty one. */
export interface ArchiveEnd {
  readonly epoch: number;
  readonly treeSize: number;
}

/** Throws EPOCH_REGRESSION unless the segments go on from `end`, epoch by epoch and leaf by leaf, to the base. */
export function requireConsecutive(end: ArchiveEnd, segments: readonly ArchiveSegment[], base: ArchiveBase): void {
  let { epoch, treeSize } = end;
  for (const segment of segments) {
    if (segment.treeSize !== treeSize)
      throw outOfOrder(`a segment begins at leaf ${segment.treeSize}, the archive ends at ${treeSize}`, end);
    if (segment.headers.length === 0) throw outOfOrder('a segment has no header', end);
    for (const header of segment.headers) {
      if (header.epoch !== epoch + 1) throw outOfOrder(`header ${header.epoch} cannot follow header ${epoch}`, end);
      ({ epoch, treeSize } = header);
    }
    if (segment.treeSize + segment.leaves.length !== treeSize)
      throw outOfOrder(`a segment ends at leaf ${segment.treeSize + segment.leaves.length}, its last header says ${treeSize}`, end);
  }
  if (epoch !== base.epoch) throw outOfOrder(`the base is epoch ${base.epoch}, its archive ends with ${epoch}`, end);
}

const outOfOrder = (message: string, end: ArchiveEnd): StarlingError =>
  new StarlingError('EPOCH_REGRESSION', message, {
    field: 'archive',
    fix: `cut the segments so that they begin with epoch ${end.epoch + 1} and end with the base's`,
  });
