import { StarlingError } from '../../spec/index.ts';

/** Throws MALFORMED unless `actual`, a number of elements, is `expected`. */
export function checkLength(field: string, actual: number, expected: number): void {
  if (actual !== expected) throw new StarlingError('MALFORMED', `${field} has ${actual} elements, not ${expected}`, { field });
}
