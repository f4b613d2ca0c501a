import { isKind } from '../ledger/index.ts';
import { type EntryId, MAX_JOINS, type MembershipBody, type SignedEntry } from '../spec/index.ts';
import { makeCertificate } from '../wire/index.ts';
import type { EpochContext } from './context.ts';

/** Writes the join entry that this node's chain starts with. Durable when it returns; undefined where the chain has begun. */
export function join(ctx: EpochContext): SignedEntry | undefined {
  if (ctx.replica.tip !== undefined) return undefined;
  const certificate = makeCertificate(ctx.identity, ctx.nodeClass, [`update/${ctx.genesis.updateDtype}`]);
  const { id, state } = ctx.chain.head;
  return ctx.replica.append('join', { certificate, invite: ctx.invite ?? null }, id, state.epoch);
}

/** Takes back what this node said, or the swarm decided, of its absence. Undefined where it is a member in good standing. */
export function resume(ctx: EpochContext): SignedEntry | undefined {
  const { id, state } = ctx.chain.head;
  const member = state.members.find((m) => m.fingerprint === ctx.self);
  if (member === undefined) return undefined;
  // What it said last may be in no block yet, and would count with the next.
  const isOut = member.status === 'away' || member.status === 'suspended' || member.vote === 'removed' || lastSaid(ctx) === 'away';
  if (!isOut) return undefined;
  return ctx.replica.append('membership', { action: 'resume' }, id, state.epoch);
}

/** Says that this node stops, so that nobody waits for it. Durable when it returns; undefined where nobody waits. */
export function away(ctx: EpochContext): SignedEntry | undefined {
  const { id, state } = ctx.chain.head;
  const isMember = state.members.some((m) => m.fingerprint === ctx.self && m.status === 'active');
  if (!isMember || state.members.length === 1) return undefined;
  return ctx.replica.append('membership', { action: 'away' }, id, state.epoch);
}

/** What this node's chain says last of its membership. */
function lastSaid(ctx: EpochContext): MembershipBody['action'] | undefined {
  const { graph, tip } = ctx.replica;
  for (let entry = tip; entry !== undefined; entry = graph.get(entry.core.prev ?? '')) {
    if (isKind(entry, 'membership')) return entry.core.body.action;
  }
  return undefined;
}

/** Joins that wait for a decision, the earliest first, as many as one epoch takes in. */
export function pendingJoins(ctx: EpochContext): EntryId[] {
  const { graph } = ctx.replica;
  const members = new Set(ctx.chain.head.state.members.map((m) => m.fingerprint));
  const joins = graph.authors().flatMap((author) => (members.has(author) ? [] : (graph.joinOf(author) ?? [])));
  joins.sort((a, b) => a.core.lam - b.core.lam || (a.id < b.id ? -1 : 1));
  return joins.slice(0, MAX_JOINS).map((entry) => entry.id);
}
