import { fromHex, hashWithDomain, toHex, utf8 } from '../../crypto/index.ts';
import { type BlockHash, type DecisionId, type Fingerprint, StarlingError } from '../../spec/index.ts';
import { DOMAINS } from '../../wire/index.ts';

/** sha256(domain || base block hash || epoch): known to all, and to nobody before the base block was (PROTOCOL section 6). 32 bytes. */
export const beaconOf = (base: BlockHash | DecisionId, epoch: number): Uint8Array =>
  hashWithDomain(DOMAINS.beacon, fromHex(base), utf8(`${epoch}`));

/**
 * Members in the order of their ranks: ascending by hash of beacon, attempt and fingerprint (PROTOCOL section 6). A later
 * attempt orders anew, so that two members whose link failed need not meet again. Throws DUPLICATE for a member named twice.
 */
export function rankOrder(beacon: Uint8Array, attempt: number, members: readonly Fingerprint[]): Fingerprint[] {
  if (new Set(members).size !== members.length)
    throw new StarlingError('DUPLICATE', 'a member is named twice', { field: 'members', phase: 'average' });
  return members
    .map((member) => ({ member, key: toHex(hashWithDomain(DOMAINS.rank, beacon, utf8(`${attempt}`), fromHex(member))) }))
    .sort((a, b) => (a.key < b.key ? -1 : 1))
    .map(({ member }) => member);
}
