/** What members tell of their links before they sum, and the costs that all derive from it (PROTOCOL section 6). */
import { claimedCosts, type LinkCost } from '../aggregation/index.ts';
import { isKind } from '../ledger/index.ts';
import { type EntryId, MAX_LINKS, type SwarmState } from '../spec/index.ts';
import type { EpochContext } from './context.ts';

/** What this node tells of its links over `base` (`ContributionBody.links`). */
export function ownLinks({ links, directory }: EpochContext, base: SwarmState): number[] {
  const told = base.members.slice(0, MAX_LINKS).map(({ fingerprint }) => links.exponent(directory.peerOf(fingerprint) ?? ''));
  return told.slice(0, told.findLastIndex((exponent) => exponent > 0) + 1);
}

/** Costs of the links between the authors of a roster over `base`, as their entries tell. */
export function costOf({ replica }: EpochContext, base: SwarmState, roster: readonly EntryId[]): LinkCost | undefined {
  const claims = roster.flatMap((id) => {
    const entry = replica.graph.get(id);
    return entry !== undefined && isKind(entry, 'contribution') ? [{ author: entry.core.author, links: entry.core.body.links }] : [];
  });
  return claimedCosts(
    base.members.map(({ fingerprint }) => fingerprint),
    claims,
  );
}
