import type { ProposalView } from '../../consensus/index.ts';
import { type BlockHash, type QuorumCertificate, VOTING, type Vote } from '../../spec/index.ts';

/** What nodes tell each other. Heights count from 1. */
export type Message =
  | { readonly kind: 'proposal'; readonly height: number; readonly proposal: ProposalView }
  | { readonly kind: 'vote'; readonly height: number; readonly vote: Vote }
  | { readonly kind: 'commit'; readonly height: number; readonly certificate: QuorumCertificate }
  | { readonly kind: 'retell'; readonly height: number; readonly proposals: readonly ProposalView[]; readonly votes: readonly Vote[] };

/** Nobody checks it: no node of this world ever makes another's vote. */
export const UNSIGNED = new Uint8Array(0);

/** A block of this world is its name: height, what is in it, and who made it where that matters. */
export const blockOf = (height: number, content: string): BlockHash => `${height}:${content}`;
export const emptyBlock = (height: number, maker: number): BlockHash => `${height}:empty${maker}`;
const isEmpty = (block: BlockHash): boolean => block.includes(':empty');
export const isNonEmpty = (block: BlockHash): boolean => !isEmpty(block);

/** PROTOCOL section 7, as far as it matters to votes: an empty block only from a later round on, or once q voters prevoted it. */
export function isAcceptable(block: BlockHash, height: number, round: number, validRound: number): boolean {
  if (!block.startsWith(`${height}:`) || block.includes(':bad')) return false;
  return isNonEmpty(block) || round >= VOTING.emptyFromRound || validRound >= 0;
}
