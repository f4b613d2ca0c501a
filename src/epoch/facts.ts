import { type Fingerprint, NEGOTIATION } from '../spec/index.ts';
import { type EpochContext, peerOf } from './context.ts';
import type { EpochFacts } from './machine.ts';

/** Epochs for which the others wait longer for a trainer that misses them. */
const PATIENCE_EPOCHS = 10;

/** What an epoch over the present head starts from. `deadlineMs`: adaptive; `trainers`: announced in the last epoch. */
export function factsOf(ctx: EpochContext, deadlineMs: number, trainers: ReadonlyMap<Fingerprint, boolean>): EpochFacts {
  const { state, id } = ctx.chain.head;
  const patienceMs = ctx.genesis.epochDeadlineMs + NEGOTIATION.disseminationMs;
  return {
    epoch: state.epoch + 1,
    base: id,
    recent: new Set(
      state.members.filter((m) => m.status === 'active' && m.lastEpoch > 0 && m.lastEpoch >= state.epoch - 1).map((m) => m.fingerprint),
    ),
    trainers: new Map(),
    seen: new Set(),
    held: new Set(),
    deadlineMs: missedSomebody(ctx, trainers) ? patienceMs : deadlineMs + NEGOTIATION.disseminationMs,
    patienceMs,
    membershipMs: ctx.genesis.minDeadlineMs,
  };
}

/**
 * Whether the epoch that ended left somebody out who said it was training, is connected, and came through not long ago:
 * the deadline was too short for it, and would stay so, because what never arrives in time is never measured.
 */
function missedSomebody(ctx: EpochContext, trainers: ReadonlyMap<Fingerprint, boolean>): boolean {
  const { state } = ctx.chain.head;
  return state.members.some((m) => {
    const since = state.epoch - Math.max(m.lastEpoch, m.joinedEpoch);
    const isHere = m.fingerprint === ctx.self || peerOf(ctx, m.fingerprint) !== undefined;
    return trainers.get(m.fingerprint) === true && since >= 1 && since <= PATIENCE_EPOCHS && isHere;
  });
}
