/**
 * e^x for x <= 0 from + - * / alone, which IEEE 754 makes the same on every machine; Math.exp is not.
 * Range reduction by halving (x / 2^10, ten squarings) and a Taylor series of degree 12: relative error below
 * 1e-12 on [-64, 0]. Below -64 the result is 0: far under a fixed-point step of trust.
 */
export function expNegative(x: number): number {
  if (x > 0) throw new RangeError('expNegative takes x <= 0');
  if (x < -64) return 0;
  const y = x / 1024;
  let term = 1;
  let sum = 1;
  for (let n = 1; n <= 12; n++) {
    term = (term * y) / n;
    sum += term;
  }
  for (let i = 0; i < 10; i++) sum *= sum;
  return sum;
}
