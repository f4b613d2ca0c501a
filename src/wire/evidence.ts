import { type Evidence, StarlingError } from '../spec/index.ts';
import { readCode, readHash, readInt, readTuple } from './fields.ts';
import { EVIDENCE_KINDS } from './signBytes/index.ts';
import { readVote } from './votes.ts';

/**
 * Whether two things exclude each other, by their form: two votes of one voter at one place for two values, the lower block
 * first and none before any; or two entries, the lower id first. One offence has one form. That they are signed, or in the
 * ledger, is checked where keys and entries are known. Throws BAD_EVIDENCE.
 */
export function checkEvidenceForm(evidence: Evidence, field: string): void {
  if (evidence.kind === 'entry') {
    if (evidence.first >= evidence.second) throw bad(`${field}.second`, 'is not above the first entry');
    return;
  }
  const { first, second } = evidence;
  for (const part of ['voter', 'epoch', 'round', 'step'] as const)
    if (first[part] !== second[part]) throw bad(`${field}.second.${part}`, 'is not that of the first vote');
  if (second.block === null || (first.block !== null && first.block >= second.block))
    throw bad(`${field}.second.block`, 'is not above that of the first vote');
}

const bad = (field: string, problem: string): StarlingError => new StarlingError('BAD_EVIDENCE', `${field} ${problem}`, { field });

/** Throws MALFORMED, BAD_EVIDENCE. */
export function readEvidence(value: unknown, field: string): Evidence {
  const [code] = Array.isArray(value) ? value : [];
  const evidence = readCode(code, `${field}.kind`, EVIDENCE_KINDS) === 'vote' ? readVotes(value, field) : readEntries(value, field);
  checkEvidenceForm(evidence, field);
  return evidence;
}

function readVotes(value: unknown, field: string): Evidence {
  const [, first, second] = readTuple(value, field, 3);
  return { kind: 'vote', first: readVote(first, `${field}.first`), second: readVote(second, `${field}.second`) };
}

function readEntries(value: unknown, field: string): Evidence {
  const [, author, seq, first, second] = readTuple(value, field, 5);
  return {
    kind: 'entry',
    author: readHash(author, `${field}.author`),
    seq: readInt(seq, `${field}.seq`),
    first: readHash(first, `${field}.first`),
    second: readHash(second, `${field}.second`),
  };
}
