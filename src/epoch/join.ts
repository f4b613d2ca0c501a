import { type EntryOf, isKind } from '../ledger/index.ts';
import { type EntryId, MAX_JOINS, type SignedEntry } from '../spec/index.ts';
import { makeCertificate } from '../wire/index.ts';
import type { EpochContext } from './context.ts';
import { isCut } from './cuts.ts';

/** Writes the join entry that this node's chain starts with. Durable when it returns; undefined where the chain has begun. */
export function join(ctx: EpochContext): SignedEntry | undefined {
  if (ctx.replica.tip !== undefined) return undefined;
  const certificate = makeCertificate(ctx.identity, ctx.nodeClass, [`update/${ctx.genesis.updateDtype}`]);
  const { id, state } = ctx.chain.head;
  return ctx.replica.append('join', { certificate, invite: ctx.invite ?? null }, id, state.epoch);
}

/**
 * Takes back what this node said, or the swarm decided, of its absence. Undefined where it is a member in good standing, where
 * it left, and while an earlier word of the same waits for a block.
 */
export function resume(ctx: EpochContext): SignedEntry | undefined {
  const { id, state } = ctx.chain.head;
  const member = state.members.find((m) => m.fingerprint === ctx.self);
  const last = lastSaid(ctx);
  if (member === undefined || member.status === 'left' || last?.core.body.action === 'leave') return undefined;
  const isWaiting = last !== undefined && !isCut(ctx, ctx.chain.finalized, last.id);
  if (isWaiting && last.core.body.action === 'resume') return undefined;
  // What it said last may be in no block yet, and would count with the next.
  const isOut = member.status === 'away' || member.vote === 'removed' || (isWaiting && last.core.body.action === 'away');
  return isOut ? ctx.replica.append('membership', { action: 'resume' }, id, state.epoch) : undefined;
}

/** The same for a node whose chain forked: its operator has started it again, which says that the other process is gone. */
export function resumeForked(ctx: EpochContext): SignedEntry | undefined {
  const { id, state } = ctx.chain.head;
  const isSuspended = state.members.some((m) => m.fingerprint === ctx.self && m.status === 'suspended');
  return isSuspended ? ctx.replica.append('membership', { action: 'resume' }, id, state.epoch) : undefined;
}

/** Says that this node stops, so that nobody waits for it. Durable when it returns; undefined where nobody waits. */
export function away(ctx: EpochContext): SignedEntry | undefined {
  const { id, state } = ctx.chain.head;
  const isMember = state.members.some((m) => m.fingerprint === ctx.self && m.status === 'active');
  if (!isMember || state.members.length === 1) return undefined;
  return ctx.replica.append('membership', { action: 'away' }, id, state.epoch);
}

/** What this node's chain says last of its membership. */
function lastSaid(ctx: EpochContext): EntryOf<'membership'> | undefined {
  const { graph, tip } = ctx.replica;
  for (let entry = graph.get(tip?.id ?? ''); entry !== undefined; entry = graph.get(entry.core.prev ?? ''))
    if (isKind(entry, 'membership')) return entry;
  return undefined;
}

/**
 * Joins that wait for a decision, the earliest first, as many as one epoch takes in. One that a block has held and that made no
 * member had its chance: it would start epochs for ever.
 */
export function pendingJoins(ctx: EpochContext): EntryId[] {
  const { graph } = ctx.replica;
  const members = new Set(ctx.chain.head.state.members.map((m) => m.fingerprint));
  const joins = graph.authors().flatMap((author) => (members.has(author) ? [] : (graph.joinOf(author) ?? [])));
  const open = joins.filter((entry) => !isCut(ctx, ctx.chain.finalized, entry.id));
  open.sort((a, b) => a.core.lam - b.core.lam || (a.id < b.id ? -1 : 1));
  return open.slice(0, MAX_JOINS).map((entry) => entry.id);
}
