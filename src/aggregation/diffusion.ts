/**
 * Averaging without a quorum: theta_i <- theta_i + eta sum_j w_ij (theta_j - theta_i) over neighbours, w_ij = 1 / (1 + max degree)
 * (Metropolis weights: Xiao, Boyd and Kim, "Distributed average consensus with least-mean-square deviation", 2007). In integers:
 * what flows over an edge is rounded once, the same at both ends but for its sign, so the sum over all nodes never changes. It
 * stands still where neighbours are closer than half of (1 + degree) / eta units: choose the unit far below what matters.
 */
import { StarlingError } from '../spec/index.ts';

/** Denominator of eta: steps of 2^-16. */
export const ETA_ONE = 65_536;
/** Magnitude up to which values diffuse: a step stays between its neighbours but for its rounding, so int32 holds it. */
const MAX_VALUE = 2 ** 30;

export interface Neighbour {
  /** Its values before this step: both ends MUST compute from the same two rows, or neither may apply the edge. */
  readonly values: Int32Array;
  /** How many neighbours it has in this step. */
  readonly degree: number;
}

/**
 * One step of one node. `eta` in units of 2^-16, 1..65,536; on a ring, 3/4 of it is a <- a/2 + (left + right)/4. Returns new values.
 * Throws MALFORMED for rows of another length or an eta out of range, BOUNDS_EXCEEDED for values beyond 2^30.
 */
export function diffuse(own: Int32Array, neighbours: readonly Neighbour[], eta: number): Int32Array {
  if (!Number.isSafeInteger(eta) || eta < 1 || eta > ETA_ONE)
    throw new StarlingError('MALFORMED', `eta is ${eta}, not an integer of 1..${ETA_ONE}`, { field: 'eta', phase: 'average' });
  checkValues(own, own.length);
  const next = new Int32Array(own);
  for (const { values, degree } of neighbours) {
    checkValues(values, own.length);
    const share = eta / (ETA_ONE * (1 + Math.max(degree, neighbours.length)));
    // Symmetric about zero, and so the same flow at both ends: doubles have a sign of their own, and trunc heeds it.
    for (let k = 0; k < own.length; k++) {
      const flow = ((values[k] as number) - (own[k] as number)) * share;
      next[k] = (next[k] as number) + Math.trunc(flow + (flow < 0 ? -0.5 : 0.5));
    }
  }
  return next;
}

function checkValues(values: Int32Array, length: number): void {
  if (values.length !== length)
    throw new StarlingError('MALFORMED', `a row of ${values.length} values where ${length} are due`, { field: 'values', phase: 'average' });
  for (let k = 0; k < length; k++)
    if (Math.abs(values[k] as number) > MAX_VALUE)
      throw new StarlingError('BOUNDS_EXCEEDED', `value ${values[k]} at element ${k}, at most 2^30 can diffuse`, {
        field: 'values',
        phase: 'average',
      });
}
