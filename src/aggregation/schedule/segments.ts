/**
 * Butterfly for rules that need every row of a coordinate (PROTOCOL section 6): the row is cut into a segment a member, on bounds of the
 * chunks that update hashes are over, and each segment has as many owners as there may be liars and one more. An owner gets everyone's
 * chunks of its segments and makes of them what the rule says; where all owners of a segment made the same of it, an honest one did.
 */
import type { UpdateDtype } from '../../spec/index.ts';
import { dtypeBytes } from '../integers.ts';
import { liarsAmong } from '../robust/rule.ts';
import { chunkElements, partOf, type Range, type Rank } from './plan.ts';

/** Elements of the chunks of a row. */
export const rowChunkElements = (dtype: UpdateDtype): number => chunkElements(dtypeBytes(dtype) as 1 | 2);

/** One a member, by rank; empty ones where a row has fewer chunks than there are members. */
export function segmentsOf(elements: number, dtype: UpdateDtype, members: number): readonly Range[] {
  const size = rowChunkElements(dtype);
  const chunks = { start: 0, end: Math.ceil(elements / size) };
  return Array.from({ length: members }, (_, segment) => {
    const { start, end } = partOf(chunks, members, segment);
    return { start: Math.min(elements, start * size), end: Math.min(elements, end * size) };
  });
}

/** Owners of a segment where `rostered` contributions were settled: of those that were dropped since, some may have been honest. */
export const ownersNeeded = (rostered: number, members: number): number => Math.min(members, liarsAmong(rostered) + 1);

/** Ranks that own a segment. */
export const ownersOf = (segment: number, members: number, owners: number): readonly Rank[] =>
  Array.from({ length: owners }, (_, i) => (segment + i) % members);

/** Bytes that a member sends at most: its row to the owners of each segment, and what was made of its own segments, in int32. */
export function segmentBytes(elements: number, dtype: UpdateDtype, members: number): number {
  const owners = ownersNeeded(members, members);
  return Math.ceil(((members - 1) / members) * elements * (owners * dtypeBytes(dtype) + Int32Array.BYTES_PER_ELEMENT));
}
