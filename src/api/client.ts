import { ERROR_CODES, type ErrorCode, type ErrorFacts, StarlingError } from '../spec/errors.ts';
import type { Calls, MethodName, Receipt } from './calls.ts';
import { readApiFile, readToken } from './files.ts';
import type { EventTopic, ModelView } from './service.ts';
import { openSubscription, type Subscription } from './subscription.ts';

export interface ClientOptions {
  /** Data folder: holds api.json and api.token. */
  readonly data: string;
  /** Url of the API; without it api.json says. */
  readonly api?: string | undefined;
  /** Without it <data>/api.token says. */
  readonly token?: string | undefined;
  /** Aborts every request. */
  readonly signal?: AbortSignal | undefined;
}

export interface UpdateOptions {
  readonly epoch: number;
  readonly kind: 'delta' | 'parameters';
  readonly samples: number;
  readonly metrics?: Readonly<Record<string, number>>;
}

/** A daemon's API. Every method throws StarlingError: the daemon's own, or DAEMON_DOWN, TIMEOUT, UNAUTHORIZED. */
export interface ApiClient {
  /** Where the last request went. */
  readonly url: string;
  call<M extends MethodName>(
    method: M,
    ...params: Record<never, never> extends Calls[M]['params'] ? [Calls[M]['params']?] : [Calls[M]['params']]
  ): Promise<Calls[M]['result']>;
  /** A method by whatever name, params by name (object) or position (array). */
  rpc(method: string, params?: object): Promise<unknown>;
  /** Safetensors bytes of a head. */
  model(head: ModelView['head']): Promise<{ readonly epoch: number; readonly modelRoot: string; readonly bytes: Uint8Array }>;
  /** Hands over one update as safetensors bytes. */
  submit(update: UpdateOptions, bytes: Uint8Array): Promise<Receipt>;
  subscribe(topics: readonly EventTopic[], listener: (topic: EventTopic, event: unknown) => void): Promise<Subscription>;
}

interface Endpoint {
  readonly url: string;
  readonly token: string;
}

/** Finds the daemon; sends nothing yet. Throws DAEMON_DOWN when no daemon has left its address. */
export async function connect(options: ClientOptions): Promise<ApiClient> {
  let endpoint = findEndpoint(options);

  /** A refused connection was never a request, so it is safe to ask a restarted daemon at its new address. */
  async function send(path: string, init: RequestInit): Promise<Response> {
    try {
      return await fetchFrom(endpoint, path, init, options);
    } catch (error) {
      if (!(error instanceof StarlingError) || error.facts.phase !== 'connect') throw error;
      const fresh = findEndpoint(options);
      if (fresh.url === endpoint.url) throw error;
      endpoint = fresh;
      return fetchFrom(endpoint, path, init, options);
    }
  }

  async function rpc(method: string, params: object = {}): Promise<unknown> {
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params });
    const response = await send('/rpc', { method: 'POST', headers: { 'content-type': 'application/json' }, body });
    return unwrapRpc(await response.json());
  }

  return {
    get url() {
      return endpoint.url;
    },
    call: (method, ...params) => rpc(method, params[0]) as Promise<never>,
    rpc,
    async model(head) {
      const response = await send(`/v1/model?head=${head}`, {});
      return {
        epoch: Number(response.headers.get('x-starling-epoch')),
        modelRoot: response.headers.get('x-starling-model-root') ?? '',
        bytes: new Uint8Array(await response.arrayBuffer()),
      };
    },
    async submit({ epoch, kind, samples, metrics }, bytes) {
      const headers: Record<string, string> = { 'content-type': 'application/octet-stream' };
      if (metrics !== undefined) headers['x-starling-metrics'] = JSON.stringify(metrics);
      const path = `/v1/updates?epoch=${epoch}&kind=${kind}&samples=${samples}`;
      const response = await send(path, { method: 'POST', headers, body: bytes as Uint8Array<ArrayBuffer> });
      return (await response.json()) as Receipt;
    },
    subscribe: (topics, listener) =>
      openSubscription(endpoint.url, endpoint.token, topics, listener, (message) => daemonDown(options.data, message)),
  };
}

function findEndpoint({ data, api, token }: ClientOptions): Endpoint {
  const url = api ?? readApiFile(data)?.url;
  if (url === undefined) throw daemonDown(data, `no daemon runs on ${data}`);
  const secret = token ?? readToken(data);
  if (secret === undefined)
    throw new StarlingError('UNAUTHORIZED', `there is no api.token in ${data}`, {
      fix: "name the daemon's own data folder with --data, or set STARLING_TOKEN",
    });
  return { url: url.replace(/\/+$/, ''), token: secret };
}

const daemonDown = (where: string, message: string, cause?: unknown): StarlingError =>
  new StarlingError('DAEMON_DOWN', message, { phase: 'connect', fix: `start it with: starling daemon --data ${where}` }, { cause });

async function fetchFrom({ url, token }: Endpoint, path: string, init: RequestInit, { data, signal }: ClientOptions): Promise<Response> {
  const headers = new Headers(init.headers);
  headers.set('authorization', `Bearer ${token}`);
  // One connection a request. A daemon that was busy for a while may end an idle one just as the next request is sent on it
  // (github.com/nodejs/node/issues/43456), and nobody could tell whether that request was carried out.
  headers.set('connection', 'close');
  let response: Response;
  try {
    response = await fetch(`${url}${path}`, signal === undefined ? { ...init, headers } : { ...init, headers, signal });
  } catch (cause) {
    if (signal?.aborted) throw cause;
    throw fetchFailure(url, data, path, cause);
  }
  if (!response.ok) throw await refusal(response);
  return response;
}

/** undici says "fetch failed" and hides what happened in `cause`. */
function fetchFailure(url: string, data: string, path: string, error: unknown): StarlingError {
  const cause = error instanceof Error ? (error.cause as NodeJS.ErrnoException | undefined) : undefined;
  const code = cause?.code ?? (error as Error).message;
  if (code === 'ECONNREFUSED') return daemonDown(data, `nothing answers at ${url}`, error);
  if (code === 'UND_ERR_HEADERS_TIMEOUT')
    return new StarlingError('TIMEOUT', `${url}${path} did not answer in time`, { phase: 'request' }, { cause: error });
  return new StarlingError(
    'DAEMON_DOWN',
    `${url} broke off: ${code}`,
    { phase: 'request', fix: `see whether the daemon still runs: starling status --data ${data}` },
    { cause: error },
  );
}

async function refusal(response: Response): Promise<StarlingError> {
  const text = await response.text();
  try {
    const { error } = JSON.parse(text) as { error: Record<string, unknown> };
    return errorFromFacts(error, String(error.message));
  } catch {
    return new StarlingError('INTERNAL', `HTTP ${response.status} from ${response.url}: ${text.slice(0, 200)}`);
  }
}

/** The result of a JSON-RPC 2.0 response object; throws its error as a StarlingError. */
function unwrapRpc(answer: unknown): unknown {
  const { result, error } = answer as { result?: unknown; error?: { code: number; message: string; data?: Record<string, unknown> } };
  if (error === undefined) return result;
  throw errorFromFacts(error.data ?? {}, error.message);
}

function errorFromFacts(data: Record<string, unknown>, message: string): StarlingError {
  const { code, message: _, ...facts } = data;
  const known = ERROR_CODES.find((c) => c === code) as ErrorCode | undefined;
  return new StarlingError(known ?? 'INTERNAL', message, facts as ErrorFacts);
}
