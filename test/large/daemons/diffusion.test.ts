import assert from 'node:assert/strict';
import { readApiFile, readToken } from '../../../src/api/files.ts';
import { decodeSafetensors } from '../../../src/wire/index.ts';
import { type Daemon, freePort, Nest, until, updateOf } from '../../support/daemons.ts';

const LAYERS = [4, 3, 2];
const HEADER = 'x-starling-local';

/** What a daemon serves to its trainer: the values, and whether it says that they are its own. */
async function served({ data, client }: Daemon): Promise<{ readonly values: number[]; readonly local: string | null }> {
  const { url } = readApiFile(data) ?? assert.fail('it does not run');
  const response = await fetch(new URL('/v1/model?head=latest', url), { headers: { authorization: `Bearer ${readToken(data)}` } });
  const bytes = new Uint8Array(await response.arrayBuffer());
  assert.equal((await client.call('model_info', { head: 'latest' })).local, response.headers.has(HEADER));
  return { values: decodeSafetensors(bytes, bytes.byteLength).flatMap(({ values }) => [...values]), local: response.headers.get(HEADER) };
}

describe('three daemons whose only voter dies', function () {
  this.timeout(60_000);
  const nest = new Nest();
  after(() => nest.end());

  it('mix what they learn until it is back, and hand it in', async () => {
    await nest.found('founder', LAYERS, 'without_quorum = "diffuse"', 'epoch_deadline_ms = 10_000');
    const listen = ['--listen', `/ip4/127.0.0.1/tcp/${await freePort()}`];
    const founder = await nest.daemon('founder', ...listen);
    const others = await Promise.all(['left', 'right'].map((name) => nest.daemon(name, '--bootstrap', founder.address)));
    const [left, right] = others as [Daemon, Daemon];
    await Promise.all([left, right].map(({ client }) => client.call('trainer_attach', { name: 'test' })));
    await until(
      () => 'all are members, and both trainers known',
      async () => {
        const [members, current] = await Promise.all([left.client.call('swarm_info'), right.client.call('epoch_current')]);
        return members.members.length === 3 && current.activeTrainers === 2;
      },
    );
    assert.equal((await served(left)).local, null);
    await founder.process.end();
    for (const { client } of others)
      await until(
        () => 'both diffuse, each with the other',
        async () => (await client.call('epoch_current')).diffusion?.neighbours.length === 1,
      );

    const [{ epoch }, { tensors }, before] = await Promise.all([
      left.client.call('epoch_current'),
      left.client.call('swarm_info'),
      served(left),
    ]);
    const receipt = await left.client.submit({ epoch, kind: 'delta', samples: 10 }, updateOf(tensors, 0.25));
    assert.deepEqual(receipt, { contributionId: null, epoch, updateHash: null });
    await assert.rejects(left.client.submit({ epoch, kind: 'parameters', samples: 10 }, updateOf(tensors)), { code: 'BAD_PARAMS' });
    // Each round has something to learn on from.
    const { round } = (await right.client.call('epoch_wait', { epoch })).diffusion ?? assert.fail('a quorum');
    assert.ok(round > 0);
    for (const daemon of others)
      await until(
        () => 'half of it is at each',
        async () => {
          const { values, local } = await served(daemon);
          return local === 'diffusion' && values.every((v, k) => Math.abs(v - (before.values[k] as number) - 0.125) < 1e-5);
        },
      );

    const back = await nest.daemon('founder', ...listen);
    await until(
      () => 'a quorum is there again, which knows both trainers',
      async () => {
        const current = await Promise.all([back, ...others].map(({ client }) => client.call('epoch_current')));
        return current.every(({ diffusion, activeTrainers }) => diffusion === null && activeTrainers === 2);
      },
    );
    await Promise.all(others.map(({ client }) => client.submit({ epoch, kind: 'delta', samples: 10 }, updateOf(tensors, 0))));
    await Promise.all(others.map(({ client }) => client.call('epoch_wait', { epoch })));
    const view = await right.client.call('epoch_get', { epoch });
    assert.deepEqual([view.status, view.survivors.length], ['finalized', 2]);
    const { values, local } = await served(right);
    assert.equal(local, null);
    // Both handed in half of it: their mean. Rounding leaves a unit of 2^-12 of each.
    assert.ok(values.every((v, k) => Math.abs(v - (before.values[k] as number) - 0.125) <= 2 ** -12));
  });
});
