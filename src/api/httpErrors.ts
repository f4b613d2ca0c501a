import { asStarlingError, type ErrorCode, StarlingError } from '../spec/errors.ts';

/** HTTP status of an error outside JSON-RPC; 400 for everything a caller can put right in the request. */
const STATUS: Partial<Record<ErrorCode, number>> = {
  UNAUTHORIZED: 401,
  FORBIDDEN: 403,
  NOT_MEMBER: 403,
  CLASS_FORBIDS: 403,
  NOT_FOUND: 404,
  UNKNOWN_ENTRY: 404,
  EPOCH_PAST: 409,
  EPOCH_FAR: 409,
  ALREADY_CONTRIBUTED: 409,
  FORKED_AUTHOR: 409,
  DUPLICATE: 409,
  TOO_LARGE: 413,
  INTERNAL: 500,
  DATA_CORRUPT: 500,
  NOT_READY: 503,
  AGGREGATE_MISSING: 503,
  TIMEOUT: 504,
};
const BAD_REQUEST = 400;

export const httpStatus = (error: StarlingError): number => STATUS[error.code] ?? BAD_REQUEST;

/** What fastify itself throws has a status but none of our codes. */
export function fromHttp(thrown: unknown): StarlingError {
  if (thrown instanceof StarlingError) return thrown;
  const status = thrown instanceof Error && 'statusCode' in thrown ? thrown.statusCode : undefined;
  if (status === 413) return new StarlingError('TOO_LARGE', (thrown as Error).message, { field: 'body' }, { cause: thrown });
  if (typeof status === 'number' && status >= 400 && status < 500)
    return new StarlingError('BAD_PARAMS', (thrown as Error).message, {}, { cause: thrown });
  return asStarlingError(thrown);
}
