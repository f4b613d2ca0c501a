import { isKind } from '../ledger/index.ts';
import type { SwarmState } from '../spec/index.ts';
import { votersOf } from './committee.ts';
import type { Step } from './step.ts';

interface Verdicts {
  readonly good: number;
  readonly bad: number;
}

/** Verdicts of current voters, in the step's cut, on the step's own aggregate: one a voter, its first in ledger order. */
export function verdictsOf(state: SwarmState, step: Step): Verdicts {
  const voters = new Set(votersOf(state));
  let [good, bad] = [0, 0];
  for (const entry of step.cut) {
    if (!isKind(entry, 'verdict')) continue;
    const { author, body } = entry.core;
    if (body.epoch !== step.body.epoch || body.base !== step.body.prev || body.aggregateHash !== step.body.aggregateHash) continue;
    if (!voters.delete(author)) continue;
    if (body.good) good += 1;
    else bad += 1;
  }
  return { good, bad };
}

/** Whether more than half of a block's verdicts are bad: then its aggregate is not applied (PROTOCOL section 7). */
export function isRefused(state: SwarmState, step: Step): boolean {
  if (step.block === undefined || step.header === undefined) return false;
  const { good, bad } = verdictsOf(state, step);
  return bad > good;
}
