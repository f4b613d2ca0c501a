import type { FastifyInstance, FastifyReply } from 'fastify';
import { StarlingError } from '../spec/errors.ts';
import { MIB } from '../spec/parameters.ts';
import { createGuard } from './guard.ts';
import { fromHttp, httpStatus } from './httpErrors.ts';
import { METHODS } from './methods/index.ts';
import { modelRoutes } from './modelRoutes.ts';
import { openRpcDocument } from './openrpc.ts';
import { createDispatcher, type Dispatcher } from './rpc.ts';
import type { NodeService } from './service.ts';
import { serveSocket } from './socket.ts';
import { WS_PROTOCOL } from './subscription.ts';

export interface ApiOptions {
  readonly service: NodeService;
  /** Bearer token that every request but those to open paths must carry. */
  readonly token: string;
  /** 0 picks a free port. */
  readonly port: number;
  /** Hears of failures that are ours (answered as INTERNAL), for the log. */
  readonly onInternal?: (error: StarlingError, where: string) => void;
}

export interface ApiServer {
  /** e.g. http://127.0.0.1:7747 */
  readonly url: string;
  /** Answers what is in progress, ends waits and WebSockets, then frees the port. */
  close(): Promise<void>;
}

/** The API is for this machine: never another address. */
const HOST = '127.0.0.1';
/** Bytes of one JSON-RPC message: a batch of 100 calls is below 100 KiB. */
const RPC_MAX_BYTES = MIB;
/** Ms that `close` waits for requests in progress before it cuts them. */
const CLOSE_GRACE_MS = 2_000;

/** Serves DESIGN section 6 over HTTP and WebSocket on 127.0.0.1. Throws PORT_IN_USE. */
export async function startApi({ service, token, port, onInternal = () => {} }: ApiOptions): Promise<ApiServer> {
  // Loaded here: most commands import this room for its client and never start a server.
  const [{ default: fastify }, { default: websocket }] = await Promise.all([import('fastify'), import('@fastify/websocket')]);
  const app = fastify({ forceCloseConnections: 'idle', bodyLimit: RPC_MAX_BYTES });
  const stopping = new AbortController();
  const dispatcher = createDispatcher({ methods: METHODS, service, stopping: stopping.signal, onInternal });

  // Before the guard: the plugin ends the socket of a refused upgrade only if its own hook has run first.
  await app.register(websocket, {
    options: { maxPayload: RPC_MAX_BYTES, handleProtocols: (offered: Set<string>) => (offered.has(WS_PROTOCOL) ? WS_PROTOCOL : false) },
  });

  let guard: ReturnType<typeof createGuard> | undefined; // made once the port is known; no request comes before
  app.addHook('onRequest', async (request) => guard?.(request.url.split('?', 1)[0] ?? '', request.headers));
  app.addHook('onSend', async (_request, reply) => void (stopping.signal.aborted && reply.header('connection', 'close')));
  app.setErrorHandler(async (thrown, request, reply) => {
    const error = fromHttp(thrown);
    if (error.code === 'INTERNAL') onInternal(error, request.url);
    return reply.code(httpStatus(error)).send({ error: error.toJSON() });
  });
  app.setNotFoundHandler(async (request) => {
    throw new StarlingError('NOT_FOUND', `there is nothing at ${request.method} ${request.url.split('?', 1)[0]}`, {
      fix: 'see GET /openrpc.json',
    });
  });

  await app.register(async (scope) => rpcRoutes(scope, dispatcher, service, stopping.signal));
  await app.register(async (scope) => modelRoutes(scope, service));
  plainRoutes(app, service);

  const bound = await listen(app, port);
  guard = createGuard(token, bound);
  return {
    url: `http://${HOST}:${bound}`,
    async close() {
      stopping.abort();
      const cut = setTimeout(() => {
        for (const client of app.websocketServer.clients) client.terminate();
        app.server.closeAllConnections();
      }, CLOSE_GRACE_MS);
      await app.close();
      clearTimeout(cut);
    },
  };
}

function rpcRoutes(scope: FastifyInstance, dispatcher: Dispatcher, service: NodeService, stopping: AbortSignal): void {
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => done(null, body));
  scope.post('/rpc', async (request, reply: FastifyReply) => {
    const response = await dispatcher.handle(String(request.body ?? ''));
    if (response === undefined) return reply.code(204).send();
    return reply.type('application/json').send(response);
  });
  scope.get('/rpc', { websocket: true }, (socket) => serveSocket(socket, dispatcher, service, stopping));
}

function plainRoutes(app: FastifyInstance, service: NodeService): void {
  app.get('/openrpc.json', async () => openRpcDocument(METHODS, service.info().version));
  app.get('/metrics', async (_request, reply) => reply.type('text/plain; version=0.0.4; charset=utf-8').send(await service.metrics()));
  app.get('/healthz', async (_request, reply) => {
    const { ok } = service.health();
    return reply.code(ok ? 200 : 503).send({ ok });
  });
  app.get('/readyz', async (_request, reply) => {
    const { ready } = service.health();
    return reply.code(ready ? 200 : 503).send({ ready });
  });
  app.get('/', async (_request, reply) =>
    reply
      .type('text/plain; charset=utf-8')
      .send('This is the API of a Starling daemon. Its methods: GET /openrpc.json with the token of its data folder.\n'),
  );
}

async function listen(app: FastifyInstance, port: number): Promise<number> {
  try {
    await app.listen({ host: HOST, port });
  } catch (cause) {
    await app.close();
    if ((cause as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw cause;
    throw new StarlingError(
      'PORT_IN_USE',
      `port ${port} of ${HOST} is taken`,
      { phase: 'api', port, fix: 'stop what uses it, or choose another with --api-port (0 picks a free one)' },
      { cause },
    );
  }
  const address = app.server.address();
  return typeof address === 'object' && address !== null ? address.port : port;
}
