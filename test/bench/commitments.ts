import { sis } from '../../src/crypto/index.ts';
import { referenceCommit } from '../support/sisReference.ts';
import type { BenchRow } from './row.ts';
import { median } from './samples.ts';

const PARAMETERS = 1_000_000;
/** Parameters that the slow reference commits to; its time grows with them. */
const REFERENCE_PARAMETERS = 40_960;
const AUTHORS = 8;
const RUNS = 5;
const SEED = new Uint8Array(32).fill(1);

/** Seconds of processor time that `work` takes, over a million parameters: other processes do not count. */
function secondsPerMillion(parameters: number, work: () => unknown): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / parameters;
}

/** Seconds a million parameters to commit to a row and to check a sum of eight, against the definition in BigInt. */
export async function rows(): Promise<BenchRow[]> {
  const row = Int16Array.from({ length: PARAMETERS }, (_, i) => Math.imul(i + 1, 0x9e37_79b1) >> 16);
  const rho = sis.expandRho(SEED);
  const tail = sis.rhoRow(rho);
  const commitment = sis.commit(SEED, row, rho);
  const claim: sis.ClaimedSum = {
    seed: SEED,
    sum: Int32Array.from(row, (value) => AUTHORS * value),
    rhoSum: Int32Array.from(tail, (value) => AUTHORS * value),
    commitments: Array<sis.Commitment>(AUTHORS).fill(commitment),
    weights: Array<number>(AUTHORS).fill(1),
  };
  const polynomials = Math.ceil(PARAMETERS / sis.DEGREE);
  const into = new Uint32Array(commitment.length);

  const measured = (work: () => unknown): number => median(Array.from({ length: RUNS }, () => secondsPerMillion(PARAMETERS, work)));
  const commits = measured(() => sis.commit(SEED, row, rho));
  const verifies = measured(() => {
    if (!sis.verifySum(claim)) throw new Error('a right sum is refused');
  });
  const expands = measured(() => {
    for (let index = 0; index < polynomials; index++) sis.expand(SEED, index, into);
  });

  const few = row.subarray(0, REFERENCE_PARAMETERS);
  const none = new Int32Array(0);
  const reference = secondsPerMillion(REFERENCE_PARAMETERS, () => referenceCommit(SEED, few, none));
  const baseline = 'the same in BigInt';
  const line = (what: string, value: number, n = RUNS): BenchRow => ({
    bench: 'commitments',
    case: what,
    value,
    unit: 's/million parameters',
    baseline,
    ratio: value / reference,
    n,
  });
  return [
    line('commit', commits),
    line(`verify a sum of ${AUTHORS}`, verifies),
    line('expansion of A alone', expands),
    line('BigInt', reference, 1),
  ];
}
