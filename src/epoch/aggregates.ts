/** Aggregates by hash: kept by whoever decided on them, pulled by whoever missed an update. */
import { bytesOf, int32Of } from '../aggregation/index.ts';
import { fromHex, toHex, ZERO_HASH } from '../crypto/index.ts';
import { type AggregateHeader, type DecisionId, type Fingerprint, type Hex, type PeerId, StarlingError } from '../spec/index.ts';
import { AGGREGATE_MAX_BYTES, aggregateHash, decodeAggregate, encodeAggregate } from '../wire/index.ts';
import type { HeldAggregate } from './chain.ts';
import { type EpochContext, peerOf } from './context.ts';
import { answerMs, type NodeStore } from './ports.ts';
import type { Aggregate } from './sums.ts';

/** Members asked for an aggregate beside the decision's authors. */
const OTHERS_ASKED = 4;
const headerKey = (hash: Hex): string => `aggregate/${hash}`;

/** Durable when it resolves. A vote, a proposal and a final block each keep the same one: its sum is hashed and written once. */
export async function keepAggregate(ctx: EpochContext, { hash, header, sum }: Pick<Aggregate, 'hash' | 'header' | 'sum'>): Promise<void> {
  if (header === undefined || sum === undefined) return;
  if (!(await ctx.ports.blobs.has(header.sumRoot))) await ctx.ports.blobs.put(bytesOf(sum));
  keepHeader(ctx, hash, header);
}

/** The header alone: of a final block whose sum was not asked for. Durable when it returns. */
export function keepHeader(ctx: EpochContext, hash: Hex, header: AggregateHeader): void {
  if (!holdsAggregate(ctx, hash)) ctx.ports.store.set(headerKey(hash), encodeAggregate(header));
}

export function heldHeader(ctx: { readonly ports: { readonly store: Pick<NodeStore, 'get'> } }, hash: Hex): AggregateHeader | undefined {
  const stored = ctx.ports.store.get(headerKey(hash));
  return stored === undefined ? undefined : decodeAggregate(stored);
}

/** Hashes of the aggregates whose headers are kept here. */
export const heldHashes = (ctx: EpochContext): Hex[] => ctx.ports.store.keys(headerKey('')).map((key) => key.slice(headerKey('').length));

export const forgetHeader = (ctx: EpochContext, hash: Hex): void => ctx.ports.store.delete(headerKey(hash));

/** Whether the header of this aggregate is kept; its sum may have been pruned. */
export const holdsAggregate = (ctx: EpochContext, hash: Hex): boolean => ctx.ports.store.get(headerKey(hash)) !== undefined;

/** From disk, or from the decision's authors and then any other peer. Throws AGGREGATE_MISSING or HASH_MISMATCH. */
export function fetchAggregate(ctx: EpochContext, decision: DecisionId, hash: Hex): Promise<HeldAggregate> {
  if (hash === ZERO_HASH) return Promise.resolve({ header: undefined, sum: undefined });
  const running = ctx.fetching.get(hash);
  if (running !== undefined) return running;
  const fetching = fetchOnce(ctx, decision, hash).finally(() => ctx.fetching.delete(hash));
  ctx.fetching.set(hash, fetching);
  return fetching;
}

async function fetchOnce(ctx: EpochContext, decision: DecisionId, hash: Hex): Promise<HeldAggregate> {
  const holders = holdersOf(ctx, ctx.decisions.authorsOf(decision));
  const header = await fetchHeader(ctx, hash, holders);
  const parameters = ctx.spans.at(-1)?.end ?? 0;
  if (header.sumBytes !== 4 * parameters)
    // The decision names this header by its hash: no other will come, so it breaks a rule and is never applied.
    throw new StarlingError('INCOMPATIBLE', `the aggregate has ${header.sumBytes} bytes, the model's is ${4 * parameters}`, {
      field: 'sumBytes',
      phase: 'audit',
    });
  await fetchOpening(ctx, header, holders);
  const stored = await ctx.ports.blobs.get(header.sumRoot);
  if (stored?.byteLength === header.sumBytes) return { header, sum: int32Of(stored) };
  const options = { timeoutMs: answerMs(header.sumBytes), uniform: () => ctx.ports.entropy.uniform() };
  const content = await ctx.pulls.pull(ctx.ports.streams, holders, header.sumRoot, header.sumBytes, options);
  const sum = int32Of(content);
  await keepAggregate(ctx, { hash, header, sum });
  return { header, sum };
}

/** What shows that a sum made by a schedule is right. On disk when it resolves. */
async function fetchOpening(ctx: EpochContext, { opening }: AggregateHeader, holders: readonly PeerId[]): Promise<void> {
  if (opening === null || (await ctx.ports.blobs.has(opening.root))) return;
  const options = { timeoutMs: answerMs(opening.bytes) };
  await ctx.ports.blobs.put(await ctx.pulls.pull(ctx.ports.streams, holders, opening.root, opening.bytes, options));
}

/** Answers the `head` protocol: the header behind an aggregate hash. */
export async function serveHeader(ctx: EpochContext, payload: Uint8Array): Promise<Uint8Array> {
  const bytes = payload.byteLength === 32 ? ctx.ports.store.get(headerKey(toHex(payload))) : undefined;
  if (bytes === undefined)
    throw new StarlingError('NOT_FOUND', 'this aggregate is not held here', { fix: 'ask an author of the decision' });
  return bytes;
}

async function fetchHeader(ctx: EpochContext, hash: Hex, holders: readonly PeerId[]): Promise<AggregateHeader> {
  const stored = ctx.ports.store.get(headerKey(hash));
  if (stored !== undefined) return decodeAggregate(stored);
  for (const peer of holders) {
    try {
      const answer = await ctx.ports.streams.request(peer, 'head', fromHex(hash), {
        timeoutMs: answerMs(AGGREGATE_MAX_BYTES),
        maxResponseBytes: AGGREGATE_MAX_BYTES,
      });
      const header = decodeAggregate(answer);
      if (aggregateHash(header) === hash) return header;
    } catch (error) {
      ctx.ports.journal.log('debug', 'epoch', 'a holder did not give an aggregate', { peer, hash, error: (error as Error).message });
    }
  }
  throw new StarlingError('AGGREGATE_MISSING', `no connected peer gave the aggregate ${hash}`, {
    phase: 'apply',
    fix: 'wait until an author of the decision is connected',
  });
}

/**
 * Connected authors first, then some other members, since every node that applied a decision has its aggregate. Few, because
 * each that keeps silent costs its time, and who asks in vain asks others at the next try.
 */
function holdersOf(ctx: EpochContext, authors: Iterable<Fingerprint>): PeerId[] {
  const first = [...authors].flatMap((author) => (ctx.diverging.has(author) ? [] : (peerOf(ctx, author) ?? [])));
  const others = ctx.ports.streams.peers().filter((peer) => {
    const node = ctx.directory.nodeOf(peer);
    return !first.includes(peer) && node !== undefined && !ctx.diverging.has(node);
  });
  const from = Math.floor(ctx.ports.entropy.uniform() * others.length);
  return [...first, ...[...others.slice(from), ...others.slice(0, from)].slice(0, OTHERS_ASKED)];
}
