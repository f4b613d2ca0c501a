import assert from 'node:assert/strict';
import { decodeSafetensors } from '../../src/wire/index.ts';
import { type Daemon, Nest, until, updateOf } from '../support/daemons.ts';

/** The newest model of a daemon, tensors concatenated. */
const valuesOf = async ({ client }: Daemon): Promise<number[]> =>
  decodeSafetensors((await client.model('latest')).bytes, 2 ** 20).flatMap(({ values }) => [...values]);

/** 64 x 400 + 400 + 400 x 10 + 10: more than goes inline in a message. */
const LAYERS = [64, 400, 10];
const NODES = 4;

describe('four daemons with a model too large for gossip', function () {
  this.timeout(120_000);
  const nest = new Nest();
  const daemons: Daemon[] = [];
  const [first, second] = [() => daemons[0] as Daemon, () => daemons[1] as Daemon];

  before(async () => {
    await nest.found('node0', LAYERS, 'voting = "open"', 'clip_norm = 1_000');
    daemons.push(await nest.daemon('node0'));
    for (let i = 1; i < NODES; i++) daemons.push(await nest.daemon(`node${i}`, '--bootstrap', first().address));
    await until(
      () => 'all are members and voters everywhere',
      async () => {
        const views = await Promise.all(daemons.map(({ client }) => client.call('swarm_info')));
        return views.every(({ members }) => members.filter(({ vote }) => vote === 'voter').length === NODES);
      },
      60_000,
    );
    await Promise.all(daemons.map(({ client }) => client.call('trainer_attach', { name: 'test' })));
    await until(
      () => 'all trainers are known everywhere',
      async () => (await Promise.all(daemons.map(({ client }) => client.call('epoch_current')))).every((e) => e.activeTrainers === NODES),
    );
  });
  after(() => nest.end());

  /** One update of each of these for an epoch that nothing has begun yet; resolves with that epoch once all have applied it. */
  async function average(contributors: readonly Daemon[], values: readonly number[]): Promise<number> {
    const epoch = await until(
      () => 'what somebody said of its membership is decided everywhere',
      async () => {
        const all = await Promise.all(contributors.map(({ client }) => client.call('epoch_current')));
        const [one] = all;
        return all.every((other) => other.phase === 'idle' && other.epoch === one?.epoch) ? one?.epoch : undefined;
      },
    );
    const { tensors } = await first().client.call('swarm_info');
    await Promise.all(
      contributors.map(({ client }, i) => client.submit({ epoch, kind: 'delta', samples: 10 }, updateOf(tensors, values[i]))),
    );
    await Promise.all(daemons.map(({ client, process }) => (process.isRunning ? client.call('epoch_wait', { epoch }) : undefined)));
    return epoch;
  }

  it('average over streams: one model, the mean of what each learned', async () => {
    const before = await valuesOf(first());
    const epoch = await average(daemons, [0.125, 0.25, 0.375, 0.5]);
    const views = await Promise.all(daemons.map(({ client }) => client.call('epoch_get', { epoch })));
    for (const view of views) assert.equal(view.modelRoot, views[0]?.modelRoot);
    const [view] = views;
    assert.equal(view?.schedule.mode, 'butterfly');
    assert.match(view?.schedule.reason ?? '', /two steps and the fewest bytes/);
    assert.deepEqual([view?.survivors.length, view?.dropped], [NODES, []]);
    const after = await valuesOf(second());
    // Rounding leaves one unit of 2^-12 an update at most.
    assert.ok(after.every((value, k) => Math.abs(value - (before[k] as number) - 0.3125) <= 2 ** -12));
  });

  it('go on without one that died, whose folder is whole and which catches up', async () => {
    const [victim] = daemons.slice(-1) as [Daemon];
    await victim.process.end();
    const epoch = await average(daemons.slice(0, 3), [0.125, 0.25, 0.375]);
    const view = await second().client.call('epoch_get', { epoch });
    assert.equal(view.survivors.length, 3);
    // Each tells of its links to those that it summed with before: microseconds as a power of two, itself unknown.
    const { members } = await first().client.call('swarm_info');
    const gone = members.findIndex(({ fingerprint }) => fingerprint === victim.info.fingerprint);
    for (const { entry, author } of view.roster) {
      const { links } = (await second().client.call('ledger_get', { id: entry })).body as { readonly links: readonly number[] };
      const own = members.findIndex(({ fingerprint }) => fingerprint === author);
      for (let at = 0; at < NODES; at++)
        if (at !== gone) assert.ok(at === own ? (links[at] ?? 0) === 0 : (links[at] ?? 0) >= 14, `place ${at} of ${links}, own ${own}`);
    }
    const checked = await nest.run('fsck', '--data', victim.data);
    assert.equal(checked.code, 0, checked.stdout + checked.stderr);
    const back = await nest.daemon('node3', '--bootstrap', first().address);
    await back.client.call('epoch_wait', { epoch });
    assert.equal((await back.client.call('epoch_get', { epoch })).modelRoot, view.modelRoot);
  });

  it('prove what came of a contribution, and go back and on again', async () => {
    const epoch = (await first().client.call('epoch_current')).finalized.epoch;
    const view = await first().client.call('epoch_get', { epoch });
    const [note, proof] = ['note', 'proof'].map((name) => `${first().data}.${name}`) as [string, string];
    const starling = async (...argv: string[]): Promise<void> => {
      const { code, stdout, stderr } = await nest.run(...argv);
      assert.equal(code, 0, `${argv.join(' ')}: ${stdout}${stderr}`);
    };
    await starling('ledger', 'checkpoint', '--out', note, '--data', first().data);
    for (const what of [
      [view.survivors[0] as string, '--record'],
      ['--block', `${epoch}`],
    ]) {
      await starling('ledger', 'prove', ...what, '--checkpoint', note, '--out', proof, '--data', first().data);
      await starling('audit', '--checkpoint', note, '--proof', proof, '--signer', first().info.fingerprint);
    }
    await starling('rollback', '--to', `${epoch - 1}`, '--data', second().data);
    assert.equal((await second().client.call('epoch_current')).applied.epoch, epoch - 1);
    await starling('rollback', '--resume', '--data', second().data);
    await second().client.call('epoch_wait', { epoch });
    assert.equal((await second().client.call('epoch_get', { epoch })).modelRoot, view.modelRoot);
  });
});
