/**
 * ln x for finite x > 0 from + - * / alone, which IEEE 754 makes the same on every machine; Math.log is not, while Math.LN2 and Math.SQRT2
 * are constants. Halving or doubling
 * brings x into [1/sqrt 2, sqrt 2], where ln m = 2 artanh z, z = (m-1)/(m+1), |z| < 0.172: fifteen terms of the series
 * leave less than 1e-16 of it.
 */
export function naturalLog(x: number): number {
  if (!(x > 0 && x < Number.POSITIVE_INFINITY)) throw new RangeError('naturalLog takes a finite x > 0');
  let m = x;
  let exponent = 0;
  for (; m > Math.SQRT2; exponent++) m /= 2;
  for (; m * Math.SQRT2 < 1; exponent--) m *= 2;
  const z = (m - 1) / (m + 1);
  let power = z;
  let sum = 0;
  for (let n = 1; n < 30; n += 2) {
    sum += power / n;
    power *= z * z;
  }
  return exponent * Math.LN2 + 2 * sum;
}
