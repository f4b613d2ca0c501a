import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ApiClient, connect } from '../../../src/api/client.ts';
import { loadOrCreateToken, readApiFile, removeApiFile, writeApiFile } from '../../../src/api/files.ts';
import { type ApiServer, startApi } from '../../../src/api/server.ts';
import { StarlingError } from '../../../src/spec/index.ts';
import { encodeSafetensors } from '../../../src/wire/safetensors.ts';
import { createFakeNode, type FakeNode, hash, TENSORS } from './fakeNode.ts';

const failure =
  (code: string, facts: Record<string, unknown> = {}) =>
  (error: unknown) => {
    assert.ok(error instanceof StarlingError, String(error));
    assert.equal(error.code, code);
    for (const [name, value] of Object.entries(facts)) assert.equal(error.facts[name], value);
    return true;
  };

describe('api client', () => {
  let data: string;
  let node: FakeNode;
  let api: ApiServer;
  let client: ApiClient;

  const start = async () => {
    api = await startApi({ service: node, token: loadOrCreateToken(data), port: 0 });
    writeApiFile(data, { url: api.url, pid: process.pid, version: '0.0.0' });
  };
  beforeEach(async () => {
    data = mkdtempSync(join(tmpdir(), 'starling-api-'));
    node = createFakeNode();
    await start();
    client = await connect({ data });
  });
  afterEach(async () => {
    await api.close();
    rmSync(data, { recursive: true });
  });

  it('keeps the token to its owner, and makes it once', () => {
    const token = loadOrCreateToken(data);
    assert.match(token, /^[0-9a-f]{64}$/);
    assert.equal(loadOrCreateToken(data), token);
    assert.equal(statSync(join(data, 'api.token')).mode & 0o777, 0o600);
  });

  it("removes only this process's api.json", () => {
    writeApiFile(data, { url: api.url, pid: process.pid + 1, version: '0.0.0' });
    removeApiFile(data);
    assert.equal(readApiFile(data)?.pid, process.pid + 1);
    writeApiFile(data, { url: api.url, pid: process.pid, version: '0.0.0' });
    removeApiFile(data);
    assert.equal(readApiFile(data), undefined);
  });

  it('calls methods, takes the model, hands in an update', async () => {
    assert.equal((await client.call('node_info')).version, '9.8.7');
    assert.equal((await client.call('epoch_get', { epoch: 2 })).epoch, 2);
    const { epoch, modelRoot, bytes } = await client.model('applied');
    assert.deepEqual([epoch, modelRoot], [3, hash('e')]);
    const receipt = await client.submit({ epoch: 4, kind: 'delta', samples: 5, metrics: { loss: 1 } }, bytes);
    assert.equal(receipt.contributionId, hash('1'));
    assert.deepEqual(node.submissions[0]?.metrics, { loss: 1 });
  });

  it("throws the daemon's own errors, from both kinds of route", async () => {
    await assert.rejects(client.call('epoch_get', { epoch: 9 }), failure('NOT_FOUND', { field: 'epoch' }));
    await assert.rejects(client.rpc('share_improvement'), failure('UNKNOWN_METHOD'));
    await assert.rejects(client.rpc('epoch_get', ['x']), failure('BAD_PARAMS', { field: 'epoch' }));
    const zeros = encodeSafetensors(TENSORS.map((t) => ({ ...t, values: new Float32Array(t.shape.reduce((a, b) => a * b, 1)) })));
    await assert.rejects(
      client.submit({ epoch: 1, kind: 'delta', samples: 5 }, zeros),
      failure('EPOCH_PAST', { phase: 'submit', fix: 'use epoch 4' }),
    );
  });

  it('says which token is wanted', async () => {
    const stranger = await connect({ data, token: 'f'.repeat(64) });
    await assert.rejects(stranger.call('node_info'), failure('UNAUTHORIZED'));
    writeFileSync(join(data, 'api.token'), 'short');
    await assert.rejects(connect({ data }), failure('DATA_CORRUPT'));
    rmSync(join(data, 'api.token'));
    await assert.rejects(connect({ data }), failure('UNAUTHORIZED'));
  });

  it('says how to start a daemon that is not there', async () => {
    await api.close();
    await assert.rejects(client.call('node_info'), failure('DAEMON_DOWN', { fix: `start it with: starling daemon --data ${data}` }));
    removeApiFile(data);
    await assert.rejects(connect({ data }), failure('DAEMON_DOWN', { fix: `start it with: starling daemon --data ${data}` }));
  });

  it('finds a daemon that came back on another port', async () => {
    await api.close();
    await start();
    assert.equal((await client.call('node_info')).pid, 4_242);
    assert.equal(client.url, api.url);
  });

  it('asks on a new connection each time: an idle one may end as the next request is sent', async () => {
    const used = new Set<unknown>();
    const server = createServer((request, response) => {
      if (used.has(request.socket)) request.socket.resetAndDestroy();
      used.add(request.socket);
      response.end(JSON.stringify({ jsonrpc: '2.0', id: 1, result: used.size }));
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    try {
      const { port } = server.address() as AddressInfo;
      const other = await connect({ data, api: `http://127.0.0.1:${port}` });
      for (const n of [1, 2, 3]) assert.equal(await other.rpc('anything'), n);
    } finally {
      server.close();
    }
  });

  it('is told events of its topics until it closes', async () => {
    const events: unknown[] = [];
    const got = Promise.withResolvers<void>();
    const subscription = await client.subscribe(['epoch', 'peers'], (topic, event) => {
      events.push([topic, event]);
      if (events.length === 2) got.resolve();
    });
    assert.deepEqual([node.subscribers('epoch'), node.subscribers('peers'), node.subscribers('log')], [1, 1, 0]);
    node.emit('epoch', { epoch: 4 });
    node.emit('log', 'unheard');
    node.emit('peers', { joined: 1 });
    await got.promise;
    assert.deepEqual(events, [
      ['epoch', { epoch: 4 }],
      ['peers', { joined: 1 }],
    ]);
    subscription.close();
    await subscription.closed;
  });

  it('is told when the daemon goes', async () => {
    const { closed } = await client.subscribe(['epoch'], () => {});
    await api.close();
    await closed;
    assert.equal(node.subscribers('epoch'), 0);
    await assert.rejects(
      client.subscribe(['epoch'], () => {}),
      failure('DAEMON_DOWN'),
    );
  });

  describe('WS /rpc', () => {
    const open = (protocols: string[]) => new WebSocket(`${api.url.replace('http', 'ws')}/rpc`, protocols);
    const next = (socket: WebSocket, type: 'open' | 'message' | 'error' | 'close') =>
      new Promise<Event>((resolve) => socket.addEventListener(type, resolve, { once: true }));

    it('refuses a wrong or missing token', async () => {
      for (const protocols of [[], ['starling'], ['starling', `bearer.${'0'.repeat(64)}`]]) await next(open(protocols), 'error');
    });

    it('answers calls and batches, subscribes once, and unsubscribes', async () => {
      const socket = open(['starling', `bearer.${loadOrCreateToken(data)}`]);
      await next(socket, 'open');
      assert.equal(socket.protocol, 'starling'); // the token is not said back
      const ask = async (message: unknown) => {
        const answer = next(socket, 'message');
        socket.send(JSON.stringify(message));
        return JSON.parse(String(((await answer) as MessageEvent).data));
      };
      const subscribe = { jsonrpc: '2.0', id: 1, method: 'subscribe', params: ['ledger'] };
      assert.deepEqual(await ask(subscribe), { jsonrpc: '2.0', id: 1, result: { topic: 'ledger' } });
      await ask([subscribe, { ...subscribe, id: 2 }]);
      assert.equal(node.subscribers('ledger'), 1);
      const event = next(socket, 'message');
      node.emit('ledger', { size: 8 });
      assert.deepEqual(JSON.parse(String(((await event) as MessageEvent).data)), {
        jsonrpc: '2.0',
        method: 'subscription',
        params: { topic: 'ledger', event: { size: 8 } },
      });
      await ask({ ...subscribe, method: 'unsubscribe' });
      assert.equal(node.subscribers('ledger'), 0);
      assert.equal((await ask('nonsense')).error.code, -32600);
      socket.close();
      await next(socket, 'close');
    });

    it('ends the subscriptions of a client that goes', async () => {
      const gone = Promise.withResolvers<void>();
      const subscribe = node.subscribe.bind(node);
      node.subscribe = (topic, listener) => {
        const end = subscribe(topic, listener);
        return () => {
          end();
          gone.resolve();
        };
      };
      const subscription = await client.subscribe(['trust'], () => {});
      subscription.close();
      await gone.promise;
      assert.equal(node.subscribers('trust'), 0);
    });
  });
});
