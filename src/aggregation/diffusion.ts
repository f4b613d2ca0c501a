/**
 * Averaging without a quorum: theta_i <- theta_i + eta sum_j w_ij (theta_j - theta_i) over neighbours, w_ij = 1 / (1 + max degree)
 * (Metropolis weights: Xiao, Boyd and Kim, "Distributed average consensus with least-mean-square deviation", 2007). In integers:
 * what flows over an edge is rounded once, the same at both ends but for its sign, so the sum over all nodes never changes. It
 * stands still where neighbours are closer than half of (1 + degree) / eta units: choose the unit far below what matters.
 */
import { StarlingError } from '../spec/index.ts';

/** Denominator of eta: steps of 2^-16. */
export const ETA_ONE = 65_536;
/**
 * Magnitude up to which values diffuse. A step stays between its neighbours but for its rounding, and what comes late over sixty
 * edges more, each half of a difference, still fits int32.
 */
export const DIFFUSION_MAX = 2 ** 26;

/** One end of an edge. */
export interface EdgeEnd {
  /** Its values before this step: both ends MUST compute from the same two rows, or neither may apply the edge. */
  readonly values: Int32Array;
  /** How many neighbours it has in this step. */
  readonly degree: number;
}

/** Whether this row may diffuse: all of it within DIFFUSION_MAX. */
export const mayDiffuse = (values: Int32Array): boolean => values.every((v) => Math.abs(v) <= DIFFUSION_MAX);

/**
 * One edge of one step: adds to `row` what flows to the end `own` from `other`. A step of a node is all its edges, each from the rows
 * before the step. `eta` in units of 2^-16, 1..65,536; on a ring, 3/4 of it is a <- a/2 + (left + right)/4.
 * Throws MALFORMED for rows of another length or an eta out of range, BOUNDS_EXCEEDED for ends beyond DIFFUSION_MAX.
 */
export function diffuse(row: Int32Array, own: EdgeEnd, other: EdgeEnd, eta: number): void {
  if (!Number.isSafeInteger(eta) || eta < 1 || eta > ETA_ONE)
    throw new StarlingError('MALFORMED', `eta is ${eta}, not an integer of 1..${ETA_ONE}`, { field: 'eta', phase: 'average' });
  const [a, b] = [own.values, other.values];
  checkValues(a, row.length);
  checkValues(b, row.length);
  const share = eta / (ETA_ONE * (1 + Math.max(own.degree, other.degree)));
  // Symmetric about zero, and so the same flow at both ends: doubles have a sign of their own, and trunc heeds it.
  for (let k = 0; k < row.length; k++) {
    const flow = ((b[k] as number) - (a[k] as number)) * share;
    row[k] = (row[k] as number) + Math.trunc(flow + (flow < 0 ? -0.5 : 0.5));
  }
}

function checkValues(values: Int32Array, length: number): void {
  if (values.length !== length)
    throw new StarlingError('MALFORMED', `a row of ${values.length} values where ${length} are due`, { field: 'values', phase: 'average' });
  if (!mayDiffuse(values))
    throw new StarlingError('BOUNDS_EXCEEDED', 'a value beyond 2^26, at most that can diffuse', { field: 'values', phase: 'average' });
}
