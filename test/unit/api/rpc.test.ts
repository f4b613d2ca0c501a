import assert from 'node:assert/strict';
import fc from 'fast-check';
import { METHODS } from '../../../src/api/methods/index.ts';
import { BATCH_MAX, createDispatcher, type Dispatcher } from '../../../src/api/rpc.ts';
import { createFakeNode, entry, type FakeNode, hash } from './fakeNode.ts';

interface Answer {
  readonly jsonrpc: string;
  readonly id: unknown;
  readonly result?: unknown;
  readonly error?: { readonly code: number; readonly message: string; readonly data: Record<string, unknown> };
}

describe('JSON-RPC', () => {
  let node: FakeNode;
  let stopping: AbortController;
  let dispatcher: Dispatcher;

  beforeEach(() => {
    node = createFakeNode();
    stopping = new AbortController();
    dispatcher = createDispatcher({ methods: METHODS, service: node, stopping: stopping.signal, onInternal: () => {} });
  });
  const send = async (message: unknown) => {
    const text = await dispatcher.handle(typeof message === 'string' ? message : JSON.stringify(message));
    return text === undefined ? undefined : (JSON.parse(text) as Answer & Answer[]);
  };
  const call = async (method: string, params?: unknown, id: unknown = 1) => (await send({ jsonrpc: '2.0', id, method, params })) as Answer;

  /** Parameters for one call of each method that the fake node answers. */
  const PARAMS: Record<string, object> = {
    peers_dial: { address: '/ip4/127.0.0.1/tcp/1' },
    epoch_get: { epoch: 3 },
    epoch_wait: { epoch: 3 },
    trainer_detach: { trainerId: 't-1' },
    swarm_invite: { expiresMs: 1_800_000_000_000 },
    swarm_ballot: { action: 'restore', epoch: 2 },
    swarm_membership: { action: 'leave' },
    epoch_rollback: { epoch: 2 },
    ledger_get: { id: hash('1') },
    ledger_prove: { id: hash('1') },
    ledger_consistency: { fromSize: 2 },
  };
  for (const method of METHODS.filter(({ name }) => !name.endsWith('subscribe'))) {
    it(`${method.name} answers in the shape it promises`, async () => {
      node.wait.resolve(node.epoch());
      const { result, error } = await call(method.name, PARAMS[method.name]);
      assert.equal(error, undefined);
      const parsed = method.result.safeParse(result);
      assert.ok(parsed.success, String(parsed.error));
    });
  }

  it('has the methods of this release', () => {
    assert.deepEqual(
      METHODS.map(({ name }) => name),
      [
        ...['node_info', 'node_health', 'node_shutdown', 'peers_list', 'peers_dial', 'swarm_info', 'swarm_invite'],
        ...['swarm_ballot', 'swarm_membership'],
        ...['epoch_current', 'epoch_get', 'epoch_list', 'epoch_rollback', 'epoch_resume', 'epoch_wait', 'model_info'],
        ...['trainer_attach', 'trainer_detach', 'trainer_status'],
        ...['ledger_head', 'ledger_list', 'ledger_get', 'ledger_prove', 'ledger_checkpoint'],
        ...['ledger_consistency', 'ledger_verify'],
        ...['trust_list', 'metrics_get', 'subscribe', 'unsubscribe', 'rpc.discover'],
      ],
    );
  });

  it('shows bytes inside an entry as hex', async () => {
    const { result } = await call('ledger_get', [hash('1')]);
    const { index, signature, body, author } = result as Record<string, unknown>;
    assert.deepEqual([index, signature, author], [null, 'abcd', entry.core.author]);
    assert.deepEqual((body as { certificate: object }).certificate, {
      v: 1,
      mldsaPublicKey: '0102',
      ed25519PublicKey: '03',
      nodeClass: 'core',
      capabilities: [],
      signature: 'ff',
    });
  });

  it('takes parameters by name and by position, and fills in defaults', async () => {
    assert.deepEqual((await call('epoch_list', { limit: 2 })).result, (await call('epoch_list', [2])).result);
    assert.equal(((await call('epoch_list')).result as unknown[]).length, 3);
    assert.equal(((await call('model_info', {})).result as { head: string }).head, 'applied');
  });

  it('names the parameter that is wrong', async () => {
    const cases: readonly [string, unknown, string][] = [
      ['epoch_get', {}, 'epoch'],
      ['epoch_get', { epoch: -1 }, 'epoch'],
      ['epoch_get', { epoch: 1.5 }, 'epoch'],
      ['epoch_get', { epoch: '1' }, 'epoch'],
      ['epoch_get', { epoch: 1, epohc: 2 }, 'epohc'],
      ['epoch_get', [1, 2], 'params'],
      ['epoch_wait', [1, 300_000], 'timeoutMs'],
      ['ledger_get', { id: 'ABC' }, 'id'],
      ['subscribe', { topic: 'weather' }, 'topic'],
      ['node_info', { verbose: true }, 'verbose'],
    ];
    for (const [method, params, field] of cases) {
      const { error } = await call(method, params);
      assert.deepEqual([method, error?.code, error?.data.code, error?.data.field], [method, -32602, 'BAD_PARAMS', field]);
      assert.match(String(error?.data.fix), /^it takes /);
    }
  });

  it('takes a ballot about a member or about an epoch, not about both', async () => {
    const wrong = [
      { action: 'restore' },
      { action: 'admit', epoch: 1 },
      { action: 'restore', epoch: 1, subject: hash('a') },
      { action: 'remove' },
    ];
    for (const ballot of wrong) assert.equal((await call('swarm_ballot', ballot)).error?.data.code, 'BAD_PARAMS', JSON.stringify(ballot));
    const { result } = await call('swarm_ballot', { action: 'remove', subject: hash('a') });
    assert.equal((result as { subject: string }).subject, hash('a'));
  });

  it("passes a node's own error on with its code and facts", async () => {
    const { error } = await call('peers_dial', ['/ip4/192.0.2.1/tcp/9']);
    assert.deepEqual(error, {
      code: -32000,
      message: 'nobody there',
      data: { code: 'UNREACHABLE', peer: '/ip4/192.0.2.1/tcp/9', phase: 'dial', fix: 'check it' },
    });
  });

  it('refuses an unknown method, and events without a connection', async () => {
    assert.equal((await call('share_improvement')).error?.code, -32601);
    assert.equal((await call('toString')).error?.code, -32601);
    const { error } = await call('subscribe', ['epoch']);
    assert.deepEqual([error?.code, error?.data.code], [-32000, 'BAD_USAGE']);
  });

  it('breaks off a wait when the daemon stops', async () => {
    const waiting = call('epoch_wait', [9]);
    stopping.abort();
    assert.equal((await waiting).error?.data.code, 'NOT_READY');
  });

  // https://www.jsonrpc.org/specification section 7, with this API's methods in place of the example's.
  it('follows the examples of the specification', async () => {
    const outcome = async (message: unknown) => {
      const answer = await send(message);
      const one = ({ id, error }: Answer) => [id, error?.code ?? 'ok'];
      return answer === undefined ? undefined : Array.isArray(answer) ? answer.map(one) : one(answer);
    };
    const good = (id: unknown) => ({ jsonrpc: '2.0', id, method: 'trust_list' });
    assert.deepEqual(await outcome(good('x')), ['x', 'ok']);
    assert.deepEqual(await outcome(good(null)), [null, 'ok']);
    assert.equal(await outcome({ jsonrpc: '2.0', method: 'trust_list' }), undefined);
    assert.equal(await outcome({ jsonrpc: '2.0', method: 'foobar' }), undefined);
    assert.deepEqual(await outcome('{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]'), [null, -32700]);
    assert.deepEqual(await outcome({ jsonrpc: '2.0', method: 1, params: 'bar' }), [null, -32600]);
    assert.deepEqual(await outcome('[{"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},{"jsonrpc": "2.0", "method"'), [
      null,
      -32700,
    ]);
    assert.deepEqual(await outcome([]), [null, -32600]);
    assert.deepEqual(await outcome([1]), [[null, -32600]]);
    assert.deepEqual(await outcome([1, 2, 3]), [
      [null, -32600],
      [null, -32600],
      [null, -32600],
    ]);
    assert.deepEqual(
      await outcome([good('1'), { jsonrpc: '2.0', method: 'trust_list' }, { foo: 'boo' }, { ...good('5'), method: 'foo.get' }]),
      [
        ['1', 'ok'],
        [null, -32600],
        ['5', -32601],
      ],
    );
    assert.equal(
      await outcome([
        { jsonrpc: '2.0', method: 'trust_list' },
        { jsonrpc: '2.0', method: 'trust_list' },
      ]),
      undefined,
    );
  });

  it('bounds a batch', async () => {
    const batch = (length: number) => Array.from({ length }, (_, id) => ({ jsonrpc: '2.0', id, method: 'trust_list' }));
    assert.equal((await send(batch(BATCH_MAX)))?.length, BATCH_MAX);
    assert.equal((await send(batch(BATCH_MAX + 1)))?.error?.code, -32600);
  });

  it('answers any JSON at all with JSON-RPC', async () => {
    await fc.assert(
      fc.asyncProperty(fc.json(), async (text) => {
        const answer = await send(text);
        for (const one of Array.isArray(answer) ? answer : [answer]) {
          assert.equal(one?.jsonrpc, '2.0');
          assert.ok(one?.error !== undefined && one.error.code <= -32000);
        }
      }),
      { numRuns: 300 },
    );
  });
});
