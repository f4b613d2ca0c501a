import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { type ApiServer, startApi } from '../../../src/api/server.ts';
import { StarlingError } from '../../../src/spec/index.ts';
import { decodeSafetensors, encodeSafetensors } from '../../../src/wire/safetensors.ts';
import { createFakeNode, type FakeNode, hash, TENSORS, VALUES } from './fakeNode.ts';

const TOKEN = 'ab'.repeat(32);

describe('api server', () => {
  let node: FakeNode;
  let api: ApiServer;
  let internal: string[];

  beforeEach(async () => {
    node = createFakeNode();
    internal = [];
    api = await startApi({ service: node, token: TOKEN, port: 0, onInternal: (_error, where) => internal.push(where) });
  });
  afterEach(() => api.close());

  /** fetch cannot set Host; node:http can. */
  async function raw(
    path: string,
    headers: Record<string, string>,
    method = 'GET',
    ends = true,
  ): Promise<{ status: number; body: string }> {
    const request = httpRequest(`${api.url}${path}`, { method, headers });
    if (ends) request.end();
    else request.flushHeaders();
    const [response] = (await once(request, 'response')) as [import('node:http').IncomingMessage];
    let body = '';
    for await (const chunk of response) body += chunk;
    return { status: response.statusCode ?? 0, body };
  }
  const auth = { authorization: `Bearer ${TOKEN}` };
  const get = (path: string, headers: Record<string, string> = auth) => fetch(`${api.url}${path}`, { headers });
  const errorOf = async (response: Response) =>
    ((await response.json()) as { error: { code: string; field?: string; fix?: string } }).error;

  describe('who may call', () => {
    it('asks for the token, and takes no other', async () => {
      for (const headers of [
        {},
        { authorization: 'Bearer ' },
        { authorization: `Bearer ${TOKEN}0` },
        { authorization: `Basic ${TOKEN}` },
      ]) {
        for (const path of ['/metrics', '/openrpc.json', '/v1/model', '/nowhere']) {
          const response = await get(path, headers as Record<string, string>);
          assert.equal(response.status, 401, path);
          const error = await errorOf(response);
          assert.equal(error.code, 'UNAUTHORIZED');
          assert.match(error.fix ?? '', /api\.token/);
        }
      }
      const rpc = await fetch(`${api.url}/rpc`, { method: 'POST', body: '{}' });
      assert.equal(rpc.status, 401);
      assert.equal((await get('/metrics')).status, 200);
    });

    it('tells liveness, readiness and where to look without a token', async () => {
      const healthz = await get('/healthz', {});
      assert.deepEqual([healthz.status, await healthz.json()], [200, { ok: true }]);
      const readyz = await get('/readyz', {});
      assert.deepEqual([readyz.status, await readyz.json()], [503, { ready: false }]);
      assert.match(await (await get('/', {})).text(), /openrpc/);
    });

    it('refuses a foreign Host, even with the token', async () => {
      const { port } = new URL(api.url);
      for (const host of ['evil.example', `evil.example:${port}`, '127.0.0.1', '127.0.0.1:1', '192.168.0.1:80']) {
        const { status, body } = await raw('/healthz', { host, ...auth });
        assert.equal(status, 403, host);
        assert.match(body, /"field":"host"/);
      }
      for (const host of [`127.0.0.1:${port}`, `localhost:${port}`, `LOCALHOST:${port}`, `[::1]:${port}`]) {
        assert.equal((await raw('/healthz', { host })).status, 200, host);
      }
    });

    it('refuses a foreign Origin, even with the token', async () => {
      const { port } = new URL(api.url);
      for (const origin of ['http://evil.example', `https://localhost:${port}`, 'null', 'http://localhost']) {
        const { status, body } = await raw('/metrics', { origin, ...auth });
        assert.equal(status, 403, origin);
        assert.match(body, /"field":"origin"/);
      }
      assert.equal((await raw('/metrics', { origin: `http://localhost:${port}`, ...auth })).status, 200);
    });
  });

  describe('POST /rpc', () => {
    const post = (body: string, headers: Record<string, string> = {}) =>
      fetch(`${api.url}/rpc`, { method: 'POST', body, headers: { ...auth, ...headers } });

    it('answers whatever the content type', async () => {
      for (const type of ['application/json', 'text/plain', 'application/x-www-form-urlencoded']) {
        const response = await post('{"jsonrpc":"2.0","id":7,"method":"trust_list"}', { 'content-type': type });
        assert.equal(response.headers.get('content-type'), 'application/json; charset=utf-8');
        assert.deepEqual(await response.json(), { jsonrpc: '2.0', id: 7, result: [{ fingerprint: hash('a'), trust: 1, emaX: 0 }] });
      }
    });

    it('gives JSON-RPC errors with HTTP 200, the parse error and an empty body among them', async () => {
      for (const body of ['{"jsonrpc":', '']) {
        const response = await post(body);
        assert.equal(response.status, 200);
        const { id, error } = (await response.json()) as { id: unknown; error: { code: number } };
        assert.deepEqual([id, error.code], [null, -32700]);
      }
    });

    it('answers a notification with nothing', async () => {
      const response = await post('{"jsonrpc":"2.0","method":"trust_list"}');
      assert.deepEqual([response.status, await response.text()], [204, '']);
    });

    it('refuses a message over 1 MiB', async () => {
      const response = await post(`"${'x'.repeat(2 ** 20)}"`);
      assert.equal(response.status, 413);
      assert.equal((await errorOf(response)).code, 'TOO_LARGE');
    });

    it('reports a bug as INTERNAL, tells the log, and goes on', async () => {
      node.broken = new TypeError('undefined is not a swarm');
      const body = (await (await post('{"jsonrpc":"2.0","id":1,"method":"swarm_info"}')).json()) as {
        error: { code: number; data: object };
      };
      assert.equal(body.error.code, -32603);
      assert.deepEqual(body.error.data, { code: 'INTERNAL' });
      assert.deepEqual(internal, ['swarm_info']);
      assert.equal((await post('{"jsonrpc":"2.0","id":1,"method":"trust_list"}')).status, 200);
    });
  });

  describe('/v1', () => {
    it('serves a head as safetensors with its epoch and root', async () => {
      const response = await get('/v1/model?head=latest');
      assert.equal(response.headers.get('x-starling-epoch'), '3');
      assert.equal(response.headers.get('x-starling-model-root'), hash('e'));
      const tensors = decodeSafetensors(new Uint8Array(await response.arrayBuffer()), 10_000);
      assert.deepEqual(
        tensors.map(({ name, shape }) => ({ name, shape })),
        TENSORS,
      );
      assert.deepEqual(
        tensors.flatMap(({ values }) => [...values]),
        [...VALUES],
      );
      assert.equal((await errorOf(await get('/v1/model?head=newest'))).field, 'head');
    });

    const push = (query: string, body: Uint8Array, headers: Record<string, string> = {}) =>
      fetch(`${api.url}/v1/updates?${query}`, {
        method: 'POST',
        body: body as Uint8Array<ArrayBuffer>,
        headers: { ...auth, 'content-type': 'application/octet-stream', ...headers },
      });
    const file = (tensors = TENSORS) =>
      encodeSafetensors(
        tensors.map((t) => ({ ...t, values: new Float32Array(t.shape.reduce((a, b) => a * b, 1)).fill(t.name === 'w' ? 1 : 2) })),
      );

    it('takes an update in the order of the genesis, whatever the order of the file', async () => {
      const response = await push('epoch=4&kind=parameters&samples=12', file([...TENSORS].reverse()), {
        'x-starling-metrics': '{"loss":0.25}',
      });
      assert.deepEqual(await response.json(), { contributionId: hash('1'), epoch: 4, updateHash: hash('2') });
      assert.deepEqual(node.submissions, [
        { epoch: 4, kind: 'parameters', samples: 12, metrics: { loss: 0.25 }, values: Float32Array.of(1, 1, 1, 1, 1, 1, 2, 2, 2) },
      ]);
    });

    it('hears one that is too large to its end, so that who sends it sees why it is refused, and none that is endless', async () => {
      const path = '/v1/updates?epoch=4&samples=1';
      const half = Buffer.alloc(2 ** 20);
      for (const length of [{ 'content-length': String(2 * half.byteLength) }, {}]) {
        const request = httpRequest(`${api.url}${path}`, { method: 'POST', headers: { ...auth, ...length } });
        let isAnswered = false;
        request.on('response', () => {
          isAnswered = true;
        });
        await new Promise((resolve) => request.write(half, resolve));
        // What is asked now is answered after all that the server does of itself.
        assert.equal((await get('/healthz')).status, 200);
        assert.equal(isAnswered, false);
        request.end(half);
        const [response] = (await once(request, 'response')) as [import('node:http').IncomingMessage];
        assert.equal(response.statusCode, 413);
        response.resume();
      }
      const endless = await raw(path, { ...auth, 'content-length': String(2 ** 30) }, 'POST', false);
      assert.equal(endless.status, 413);
    });

    it('names what is wrong with an update, and goes on', async () => {
      const corrupt = file();
      corrupt[9] = 0xff;
      const cases: readonly [string, Uint8Array, number, string, string?][] = [
        ['epoch=4&samples=1', corrupt, 400, 'BAD_SAFETENSORS'],
        ['epoch=4&samples=1', file().subarray(0, -1), 400, 'BAD_SAFETENSORS'],
        ['epoch=4&samples=1', file([{ name: 'w', shape: [3, 2] }, TENSORS[1] as (typeof TENSORS)[0]]), 400, 'BAD_SHAPE', 'w'],
        ['epoch=4&samples=1', file([TENSORS[0] as (typeof TENSORS)[0]]), 400, 'BAD_SHAPE', 'b'],
        ['epoch=3&samples=1', file(), 409, 'EPOCH_PAST'],
        ['epoch=-1&samples=1', file(), 400, 'BAD_PARAMS', 'epoch'],
        ['epoch=4&samples=0', file(), 400, 'BAD_PARAMS', 'samples'],
        ['samples=1', file(), 400, 'BAD_PARAMS', 'epoch'],
        ['epoch=4&samples=1&kind=gradient', file(), 400, 'BAD_PARAMS', 'kind'],
        ['epoch=4&samples=1&sample=1', file(), 400, 'BAD_PARAMS', 'sample'],
        ['epoch=4&samples=1', new Uint8Array(2 ** 20 + 4 * 9 + 1), 413, 'TOO_LARGE', 'body'],
      ];
      for (const [query, body, status, code, field] of cases) {
        const response = await push(query, body);
        const error = await errorOf(response);
        assert.deepEqual([query, response.status, error.code], [query, status, code]);
        if (field !== undefined) assert.equal(error.field, field);
      }
      for (const metrics of [
        '{"loss":',
        '{"loss":"low"}',
        '[1]',
        JSON.stringify(Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`m${i}`, i]))),
      ]) {
        assert.equal(
          (await errorOf(await push('epoch=4&samples=1', file(), { 'x-starling-metrics': metrics }))).code,
          'BAD_PARAMS',
          metrics,
        );
      }
      assert.equal(node.submissions.length, 0);
      assert.equal((await push('epoch=4&samples=1', file())).status, 200);
    });

    it('says NOT_READY before there is a swarm', async () => {
      node.broken = new StarlingError('NOT_READY', 'no swarm yet');
      assert.equal((await push('epoch=4&samples=1', file())).status, 503);
    });
  });

  describe('start and close', () => {
    it('says that the port is taken, and by what to get round it', async () => {
      const holder = createServer().listen(0, '127.0.0.1');
      await once(holder, 'listening');
      const { port } = holder.address() as AddressInfo;
      await assert.rejects(
        startApi({ service: node, token: TOKEN, port }),
        (e: StarlingError) => e.code === 'PORT_IN_USE' && /--api-port/.test(e.facts.fix ?? ''),
      );
      holder.close();
    });

    it('ends waits with an answer, and frees the port', async () => {
      const waiting = fetch(`${api.url}/rpc`, {
        method: 'POST',
        headers: auth,
        body: '{"jsonrpc":"2.0","id":1,"method":"epoch_wait","params":[5]}',
      });
      const called = Promise.withResolvers<void>();
      node.waitEpoch = () => {
        called.resolve();
        return new Promise(() => {});
      };
      await called.promise;
      const startedMs = performance.now();
      await api.close();
      assert.ok(performance.now() - startedMs < 1_000);
      const { error } = (await (await waiting).json()) as { error: { data: { code: string } } };
      assert.equal(error.data.code, 'NOT_READY');
      await assert.rejects(get('/healthz'));
    });
  });
});
