import type { z } from 'zod';
import { StarlingError } from '../spec/errors.ts';

/** Anything with a name and a strict object of parameters: a JSON-RPC method, or a route's query. */
export interface Parameterised<P extends z.ZodObject> {
  readonly name: string;
  readonly params: P;
}

/** Parameters by name (object) or by position (array), with defaults filled in. Throws BAD_PARAMS naming the field. */
export function parseParams<P extends z.ZodObject>(method: Parameterised<P>, params: object): z.output<P> {
  const named = Array.isArray(params) ? byName(method, params) : params;
  const parsed = method.params.safeParse(named);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const unknown = issue?.code === 'unrecognized_keys' ? issue.keys[0] : undefined;
  const field = unknown ?? issue?.path.join('.') ?? 'params';
  throw new StarlingError('BAD_PARAMS', `${method.name}: ${field}: ${issue?.message}`, { field, fix: `it takes ${signature(method)}` });
}

function byName<P extends z.ZodObject>(method: Parameterised<P>, params: readonly unknown[]): object {
  const names = Object.keys(method.params.shape);
  if (params.length > names.length)
    throw new StarlingError('BAD_PARAMS', `${method.name}: ${params.length} parameters, at most ${names.length} expected`, {
      field: 'params',
      fix: `it takes ${signature(method)}`,
    });
  return Object.fromEntries(params.map((value, i) => [names[i], value]));
}

const signature = ({ params }: Parameterised<z.ZodObject>): string => {
  const names = Object.keys(params.shape);
  return names.length === 0 ? 'no parameters' : names.join(', ');
};
