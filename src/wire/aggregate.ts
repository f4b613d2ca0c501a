import { type AggregateHeader, MAX_PARAMETERS, WEIGHT_TOTAL } from '../spec/index.ts';
import { OPENING_MAX_BYTES } from './attempt.ts';
import { decode, encode } from './cbor.ts';
import { malformed, readHash, readInt, readList, readNullable, readOneOf, readText, readTuple } from './fields.ts';
import { aggregateFields } from './signBytes/index.ts';

/** Bytes. 1,024 distances of up to 40 digits, and the rest. */
export const AGGREGATE_MAX_BYTES = 64 * 1024;
const MAX_DISTANCES = 1024;
/** Decimal digits: (2 x 32767)^2 x 2^28 elements takes 19; twice that leaves room for other rules. */
const MAX_DIGITS = 40;

/** Canonical CBOR of the header; `aggregateHash` hashes exactly these bytes under its domain. */
export const encodeAggregate = (header: AggregateHeader): Uint8Array => encode(aggregateFields(header));

/** Throws TOO_LARGE, MALFORMED, NON_CANONICAL. */
export function decodeAggregate(bytes: Uint8Array): AggregateHeader {
  const tuple = readTuple(decode(bytes, 'aggregate', AGGREGATE_MAX_BYTES), 'aggregate', 7);
  const [v, epoch, weightTotal, sumRoot, sumBytes, distances, opening] = tuple;
  const header = {
    v: readOneOf(v, 'aggregate.v', [1]),
    epoch: readInt(epoch, 'aggregate.epoch', 1),
    weightTotal: readInt(weightTotal, 'aggregate.weightTotal', 1, WEIGHT_TOTAL),
    sumRoot: readHash(sumRoot, 'aggregate.sumRoot'),
    sumBytes: readInt(sumBytes, 'aggregate.sumBytes', 4, 4 * MAX_PARAMETERS),
    distances: readList(distances, 'aggregate.distances', MAX_DISTANCES, readDigits),
    opening: readNullable(opening, 'aggregate.opening', readOpening),
  };
  if (header.sumBytes % 4 !== 0) throw malformed('aggregate.sumBytes', 'is not a whole number of int32');
  return header;
}

function readOpening(value: unknown, field: string): NonNullable<AggregateHeader['opening']> {
  const [root, bytes] = readTuple(value, field, 2);
  return { root: readHash(root, `${field}.root`), bytes: readInt(bytes, `${field}.bytes`, 1, OPENING_MAX_BYTES) };
}

function readDigits(value: unknown, field: string): string {
  const text = readText(value, field, 1, MAX_DIGITS);
  if (!/^(0|[1-9]\d*)$/.test(text)) throw malformed(field, 'is not a decimal number without leading zeros');
  return text;
}
