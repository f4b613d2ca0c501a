import assert from 'node:assert/strict';
import { request } from 'node:http';
import { readToken } from '../../src/api/files.ts';
import { type ErrorCode, MIB, StarlingError, type TensorSpec } from '../../src/spec/index.ts';
import { encodeSafetensors } from '../../src/wire/index.ts';
import { type Daemon, decide, Nest, updateOf } from '../support/daemons.ts';

interface Answer {
  readonly status: number;
  readonly error: { readonly code?: string; readonly fix?: string };
}

/** One POST /rpc with these headers: fetch would not let anyone set Host. */
const post = (url: string, headers: Record<string, string>): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const asking = request(`${url}/rpc`, { method: 'POST', headers, agent: false }, (response) => {
      response.setEncoding('utf8');
      let text = '';
      response.on('data', (chunk: string) => {
        text += chunk;
      });
      response.once('end', () => resolve({ status: response.statusCode ?? 0, ...(JSON.parse(text) as Pick<Answer, 'error'>) }));
    });
    asking.once('error', reject).end('{"jsonrpc":"2.0","id":1,"method":"node_info"}');
  });

describe('bad input over the API', function () {
  this.timeout(60_000);
  let nest: Nest;
  let daemon: Daemon;
  let tensors: readonly TensorSpec[];
  before(async () => {
    nest = new Nest();
    await nest.found('node');
    daemon = await nest.daemon('node');
    ({ tensors } = await daemon.client.call('swarm_info'));
    await decide(daemon);
  });
  after(() => nest.end());

  const good = (): Uint8Array => updateOf(tensors);
  const reshaped = (): Uint8Array =>
    encodeSafetensors(tensors.map(({ name, shape }) => ({ name, shape: [...shape, 2], values: new Float32Array(2 * sizeOf(shape)) })));
  const withNaN = (): Uint8Array => updateOf(tensors, Number.NaN);
  const cases: readonly (readonly [what: string, code: ErrorCode, body: () => Uint8Array, epochsOff?: number, samples?: number])[] = [
    ['a safetensors file that is cut off', 'BAD_SAFETENSORS', () => good().subarray(0, -3)],
    ['a safetensors file with a broken header', 'BAD_SAFETENSORS', () => good().fill(0xff, 8, 12)],
    ['noise', 'BAD_SAFETENSORS', () => new Uint8Array(1_000).map((_, i) => i * 37)],
    ['nothing', 'BAD_SAFETENSORS', () => new Uint8Array(0)],
    ['tensors of another shape', 'BAD_SHAPE', reshaped],
    ['a tensor less', 'BAD_SHAPE', () => updateOf(tensors.slice(1))],
    ['NaN', 'NON_FINITE', withNaN],
    ['an infinite value', 'NON_FINITE', () => updateOf(tensors, Number.POSITIVE_INFINITY)],
    ['an update for a past epoch', 'EPOCH_PAST', good, -1],
    ['an update for a far epoch', 'EPOCH_FAR', good, 1],
    ['more than the model can be', 'TOO_LARGE', () => new Uint8Array(2 * MIB)],
    ['an update from no samples', 'BAD_PARAMS', good, 0, 0],
  ];
  for (const [what, code, body, epochsOff = 0, samples = 10] of cases)
    it(`refuses ${what} with ${code}, says what to do, and goes on`, async () => {
      const before = await daemon.client.call('ledger_verify');
      const { epoch } = await daemon.client.call('epoch_current');
      const submitted = daemon.client.submit({ epoch: epoch + epochsOff, kind: 'delta', samples }, body());
      await assert.rejects(submitted, (error) => {
        assert.ok(error instanceof StarlingError);
        assert.equal(error.code, code, error.message);
        assert.ok(error.facts.fix, `${code} does not say what to do`);
        return true;
      });
      assert.deepEqual(await daemon.client.call('ledger_verify'), before);
      await decide(daemon);
    });

  it('takes one of two updates for one epoch', async () => {
    const { epoch } = await daemon.client.call('epoch_current');
    const both = [0, 1].map(() => daemon.client.submit({ epoch, kind: 'delta', samples: 10 }, good()));
    const refused = (await Promise.allSettled(both)).flatMap((result) =>
      result.status === 'rejected' ? [result.reason as StarlingError] : [],
    );
    assert.equal(refused.length, 1);
    for (const { code, facts } of refused) {
      // Alone, a daemon may have decided the epoch before the second one comes.
      assert.ok(code === 'ALREADY_CONTRIBUTED' || code === 'EPOCH_PAST', code);
      assert.ok(facts.fix);
    }
  });

  const strangers: readonly (readonly [
    what: string,
    status: number,
    code: ErrorCode,
    headers: (token: string) => Record<string, string>,
  ])[] = [
    ['no token', 401, 'UNAUTHORIZED', () => ({})],
    ['a wrong token', 401, 'UNAUTHORIZED', (token) => ({ authorization: `Bearer ${token.replace(/./g, '0')}` })],
    ['a foreign Host', 403, 'FORBIDDEN', (token) => ({ authorization: `Bearer ${token}`, host: 'evil.example:80' })],
    ['a foreign Origin', 403, 'FORBIDDEN', (token) => ({ authorization: `Bearer ${token}`, origin: 'https://evil.example' })],
  ];
  for (const [what, status, code, headers] of strangers)
    it(`answers ${status} to ${what}, says what to do, and goes on`, async () => {
      const token = readToken(daemon.data) as string;
      const answer = await post(daemon.client.url, headers(token));
      assert.deepEqual([answer.status, answer.error.code], [status, code]);
      assert.ok(answer.error.fix);
      assert.equal((await post(daemon.client.url, { authorization: `Bearer ${token}` })).status, 200);
    });
});

const sizeOf = (shape: readonly number[]): number => shape.reduce((product, axis) => product * axis, 1);
