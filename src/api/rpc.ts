import { asStarlingError, type ErrorCode, StarlingError } from '../spec/errors.ts';
import type { Connection, Method } from './method.ts';
import { parseParams } from './params.ts';
import type { NodeService } from './service.ts';

/** Calls in one batch: enough for any page, few enough that one message cannot keep a node busy for long. */
export const BATCH_MAX = 100;

/** JSON-RPC 2.0 section 5.1. */
const PARSE_ERROR = -32700;
const INVALID_REQUEST = -32600;
/** What a method may fail with and the specification has a code for; all else is the first code left to implementations. */
const RPC_CODES: Partial<Record<ErrorCode, number>> = { UNKNOWN_METHOD: -32601, BAD_PARAMS: -32602, INTERNAL: -32603 };
const FAILED = -32000;

type Id = string | number | null;
interface RpcError {
  readonly code: number;
  readonly message: string;
  readonly data: object;
}
type RpcResponse = { readonly jsonrpc: '2.0'; readonly id: Id } & ({ readonly result: unknown } | { readonly error: RpcError });

export interface Dispatcher {
  /** Takes one message (a call or a batch); answers the response's text, or undefined where none is due. Never rejects. */
  handle(text: string, connection?: Connection): Promise<string | undefined>;
}

export interface DispatcherOptions {
  readonly methods: readonly Method[];
  readonly service: NodeService;
  /** Ends the methods that wait for something to happen. */
  readonly stopping: AbortSignal;
  /** Hears of failures that are ours: anything thrown that is not a StarlingError. */
  readonly onInternal: (error: StarlingError, where: string) => void;
}

export function createDispatcher({ methods, service, stopping, onInternal }: DispatcherOptions): Dispatcher {
  const byName = new Map<string, Method>(methods.map((method) => [method.name, method]));

  async function answer(request: unknown, connection: Connection | undefined): Promise<RpcResponse | undefined> {
    const call = readCall(request);
    if (call instanceof StarlingError) return failure(null, call, INVALID_REQUEST);
    const { id, name, params } = call;
    try {
      const method = byName.get(name);
      if (method === undefined)
        throw new StarlingError('UNKNOWN_METHOD', `there is no method ${name.slice(0, 64)}`, {
          fix: 'see rpc.discover or GET /openrpc.json',
        });
      const running = Promise.resolve(method.run(service, parseParams(method, params), connection));
      const result = await (method.waits === true ? unlessStopping(running, stopping) : running);
      return id === undefined ? undefined : { jsonrpc: '2.0', id, result: result ?? null };
    } catch (thrown) {
      const error = asStarlingError(thrown);
      if (!(thrown instanceof StarlingError)) onInternal(error, name);
      return id === undefined ? undefined : failure(id, error);
    }
  }

  return {
    async handle(text, connection) {
      let message: unknown;
      try {
        message = JSON.parse(text);
      } catch (cause) {
        return JSON.stringify(failure(null, new StarlingError('MALFORMED', `this is not JSON: ${(cause as Error).message}`), PARSE_ERROR));
      }
      if (!Array.isArray(message)) {
        const response = await answer(message, connection);
        return response === undefined ? undefined : JSON.stringify(response);
      }
      if (message.length === 0 || message.length > BATCH_MAX) {
        const error = new StarlingError('BAD_USAGE', `a batch holds 1 to ${BATCH_MAX} calls, this one ${message.length}`);
        return JSON.stringify(failure(null, error, INVALID_REQUEST));
      }
      const responses = await Promise.all(message.map((request) => answer(request, connection)));
      const due = responses.filter((response) => response !== undefined);
      return due.length === 0 ? undefined : JSON.stringify(due);
    },
  };
}

/** Breaks off a wait when the daemon stops. The listener goes with the call: waits come by the thousand. */
async function unlessStopping<T>(running: Promise<T>, stopping: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const stop = () => reject(new StarlingError('NOT_READY', 'the daemon is stopping', { fix: 'start it again and repeat the call' }));
  if (stopping.aborted) stop();
  stopping.addEventListener('abort', stop);
  try {
    return await Promise.race([running, promise]);
  } finally {
    stopping.removeEventListener('abort', stop);
  }
}

interface RpcCall {
  /** Absent from a notification. */
  readonly id: Id | undefined;
  readonly name: string;
  readonly params: object;
}

function readCall(request: unknown): RpcCall | StarlingError {
  const invalid = (message: string, field: string) => new StarlingError('BAD_USAGE', message, { field });
  if (typeof request !== 'object' || request === null || Array.isArray(request)) return invalid('a call is a JSON object', 'request');
  const { jsonrpc, id, method, params = {} } = request as Record<string, unknown>;
  if (jsonrpc !== '2.0') return invalid('jsonrpc must be "2.0"', 'jsonrpc');
  if (typeof method !== 'string') return invalid('method must be a string', 'method');
  if (id !== undefined && id !== null && typeof id !== 'string' && typeof id !== 'number')
    return invalid('id must be a string, a number or null', 'id');
  if (typeof params !== 'object' || params === null) return invalid('params must be an object or an array', 'params');
  return { id, name: method, params };
}

function failure(id: Id, error: StarlingError, code = RPC_CODES[error.code] ?? FAILED): RpcResponse {
  return { jsonrpc: '2.0', id, error: { code, message: error.message, data: { ...error.facts, code: error.code } } };
}
