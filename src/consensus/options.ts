import { fromHex, hashWithDomain, toHex } from '../crypto/hash.ts';
import { type EntryId, type Fingerprint, type Hex, MAX_ROSTER, StarlingError } from '../spec/index.ts';

const ENTRY_ID = /^[0-9a-f]{64}$/;
const DOMAIN = 'starling/roster/1';

/** A roster that somebody might propose: a set of entry ids. The empty set is one. */
export interface Option {
  /** sha256(domain || ids in ascending order, 32 bytes each). Equal sets have equal digests. */
  readonly digest: Hex;
  /** Ascending. */
  readonly ids: readonly EntryId[];
  readonly members: ReadonlySet<EntryId>;
}

/** The option that holds exactly `ids`, whatever their order and repetition. */
export function optionOf(ids: Iterable<EntryId>): Option {
  const members = new Set(ids);
  const sorted = [...members].sort();
  return { digest: toHex(hashWithDomain(DOMAIN, ...sorted.map(fromHex))), ids: sorted, members };
}

/** Whether `a` goes before `b` when both are liked equally: the larger set, then the lower digest (PROTOCOL section 5). */
export const better = (a: Option, b: Option): boolean =>
  a.ids.length === b.ids.length ? a.digest < b.digest : a.ids.length > b.ids.length;

/** Throws TOO_LARGE or MALFORMED, naming `peer` and `field`, unless `ids` is a list this room may look at. */
export function checkIds(ids: readonly EntryId[], field: string, peer: Fingerprint): void {
  if (ids.length > MAX_ROSTER)
    throw new StarlingError('TOO_LARGE', `${field} names ${ids.length} entries, the bound is ${MAX_ROSTER}`, {
      field,
      peer,
      phase: 'roster',
    });
  for (const id of ids)
    if (!ENTRY_ID.test(id))
      throw new StarlingError('MALFORMED', `${field} holds something that is not an entry id`, { field, peer, phase: 'roster' });
}
