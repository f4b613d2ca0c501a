import { fromHex, hashWithDomain, toHex } from '../crypto/hash.ts';
import { leafHash, merkleRoot } from '../crypto/merkle.ts';
import {
  type FederatedRecord,
  type Fingerprint,
  type Hex,
  type MemberState,
  type SwarmState,
  type SystemEvent,
  TRUST_ONE,
} from '../spec/index.ts';
import { recordLeaf } from '../wire/index.ts';
import { isTrusted } from './committee.ts';
import { naturalLog } from './log.ts';
import type { BlockFacts, Step } from './step.ts';
import { verdictsOf } from './verdicts.ts';

/** Fixed point of an event's shares: 2^-30 units, as trust has. */
const ONE = 2 ** 30;

type Members = Pick<SwarmState, 'members'>;

/** Trust that weighs a contribution: the member's share, or the mean share for one whose join is not ordered yet. */
export function trustOf(state: Members, author: Fingerprint): number {
  const member = state.members.find((m) => m.fingerprint === author);
  return member?.trust ?? Math.round(TRUST_ONE / Math.max(1, state.members.filter(isTrusted).length));
}

/** What a step's contributions did to their authors' standing, in roster order (SYSTEMS C1). */
export function recordsOf(before: Members, after: Members, step: Step): FederatedRecord[] {
  const sharesOf = ({ members }: Members) => new Map(members.map((m: MemberState) => [m.fingerprint, m.trust]));
  const [earlier, later] = [sharesOf(before), sharesOf(after)];
  return step.contributions.map(({ author, body }) => ({
    nodeId: author,
    deltaHash: body.updateHash,
    trustBefore: earlier.get(author) ?? trustOf(before, author),
    trustAfter: later.get(author) ?? trustOf(after, author),
    parentBlock: step.body.prev,
  }));
}

/** RFC 9162 root over the records' canonical bytes. */
export const recordsRootOf = (records: readonly FederatedRecord[]): Hex =>
  toHex(merkleRoot(records.map((record) => leafHash(recordLeaf(record)))));

/** The one system event of a block (SYSTEMS C2). Throws RangeError for a provisional step, which has none. */
export function eventOf(before: SwarmState, after: Pick<SwarmState, 'recordsRoot'>, step: Step): SystemEvent {
  if (step.block === undefined) throw new RangeError('a provisional step has no event');
  return eventOfBlock(before, after.recordsRoot, step, step.block);
}

function eventOfBlock(before: SwarmState, recordsRoot: Hex, step: Step, block: BlockFacts): SystemEvent {
  const { good, bad } = verdictsOf(before, step);
  return {
    timestamp: block.timeMs,
    metaHash: toHex(hashWithDomain('starling/meta/1', fromHex(step.treeRoot), fromHex(block.rosterHash))),
    fusionEntropy: fusionEntropy(weightsInSum(step.body)),
    complianceScore: good + bad === 0 ? ONE : Math.round((good / (good + bad)) * ONE),
    federatedHash: recordsRoot,
  };
}

/** Weights of those whose updates are in the sum. */
function weightsInSum({ roster, weights, dropped }: Step['body']): readonly number[] {
  const out = new Set(dropped.map(({ id }) => id));
  return out.size === 0 ? weights : weights.filter((_, i) => !out.has(roster[i] ?? ''));
}

/**
 * H(w) / ln k of the k positive weights, normalised by their total, in 2^-30 units: 0 where fewer than two have a voice, 2^30
 * where all have the same.
 */
export function fusionEntropy(weights: readonly number[]): number {
  const positive = weights.filter((w) => w > 0);
  if (positive.length < 2) return 0;
  const total = positive.reduce((a, b) => a + b, 0);
  let entropy = 0;
  for (const w of positive) entropy -= (w / total) * naturalLog(w / total);
  return Math.min(ONE, Math.max(0, Math.round((entropy / naturalLog(positive.length)) * ONE)));
}
