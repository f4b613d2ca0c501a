import { type Evidence, StarlingError } from '../spec/index.ts';
import { readTuple } from './fields.ts';
import { readVote } from './votes.ts';

/**
 * Whether two votes exclude each other, by their form: of one voter at one place for two values, the lower block first and none
 * before any, so that one offence has one form. That they are signed is checked where keys are known. Throws BAD_EVIDENCE.
 */
export function checkEvidenceForm({ first, second }: Evidence, field: string): void {
  for (const part of ['voter', 'epoch', 'round', 'step'] as const)
    if (first[part] !== second[part]) throw bad(`${field}.second.${part}`, 'is not that of the first vote');
  if (second.block === null || (first.block !== null && first.block >= second.block))
    throw bad(`${field}.second.block`, 'is not above that of the first vote');
}

const bad = (field: string, problem: string): StarlingError => new StarlingError('BAD_EVIDENCE', `${field} ${problem}`, { field });

/** [vote, vote]. Throws MALFORMED, BAD_EVIDENCE. */
export function readEvidence(value: unknown, field: string): Evidence {
  const [first, second] = readTuple(value, field, 2);
  const evidence = { first: readVote(first, `${field}.first`), second: readVote(second, `${field}.second`) };
  checkEvidenceForm(evidence, field);
  return evidence;
}
