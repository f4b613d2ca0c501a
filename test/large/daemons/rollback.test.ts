import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { BallotView, EpochView, RollbackView } from '../../../src/api/service.ts';
import { createSwarm } from '../../../src/node/create.ts';
import type { Forked } from '../../../src/node/fork.ts';
import { loadSwarmConfig } from '../../../src/node/swarmConfig.ts';
import { StarlingError } from '../../../src/spec/index.ts';
import { contribute, type Daemon, LISTEN, Nest, until } from '../../support/daemons.ts';

const [NAMES, LAST] = [['first', 'second', 'third', 'fourth'] as const, 3];
/** Ms until something happens that must happen at some time, on a machine that runs a dozen processes. */
const SOME_TIME_MS = 30_000;

describe('four voters', function () {
  this.timeout(4 * SOME_TIME_MS);
  let nest: Nest;
  let daemons: Daemon[];
  const at = (i: number): Daemon => daemons[i] as Daemon;
  const finalOf = async (i: number): Promise<number> => (await at(i).client.call('epoch_current')).finalized.epoch;
  const view = (i: number, epoch: number): Promise<EpochView> => at(i).client.call('epoch_get', { epoch });

  /** One command of a daemon's operator; its document. */
  async function command<T>(i: number, ...argv: string[]): Promise<T> {
    const { code, stdout, stderr } = await nest.run(...argv, '--json', '--data', at(i).data);
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout) as T;
  }

  /** Contributes at these daemons until all of them hold block `epoch`. */
  async function learnTo(epoch: number, who: readonly number[]): Promise<void> {
    await until(
      () => `block ${epoch} is final on ${who.join(' ')}; they say:\n${who.map((i) => at(i).process.tail.slice(-600)).join('\n')}`,
      async () => {
        await Promise.all(
          who.map((i) =>
            contribute(at(i).client).catch((error: unknown) => {
              if (!(error instanceof StarlingError)) throw error;
            }),
          ),
        );
        return (await Promise.all(who.map(finalOf))).every((reached) => reached >= epoch);
      },
      SOME_TIME_MS,
    );
  }

  async function assertAlike(epoch: number): Promise<void> {
    const views = await Promise.all(daemons.map((_, i) => view(i, epoch)));
    const roots = views.map(({ decision, modelRoot, stateRoot, treeRoot }) => `${decision} ${modelRoot} ${stateRoot} ${treeRoot}`);
    assert.equal(new Set(roots).size, 1, `epoch ${epoch}`);
  }

  before(async () => {
    nest = new Nest();
    const config = join(nest.folder, 'swarm.toml');
    const rules = ['epoch_deadline_ms = 1_000', 'min_deadline_ms = 100', 'voting = "open"', 'snapshot_epochs = 2'];
    writeFileSync(config, ['name = "four"', ...rules, '[model]', 'kind = "mlp"', 'layers = [4, 3, 2]'].join('\n'));
    await createSwarm(nest.data(NAMES[0]), loadSwarmConfig(config));
    daemons = [await nest.daemon(NAMES[0])];
    const bootstrap = ['--bootstrap', at(0).address];
    daemons.push(...(await Promise.all(NAMES.slice(1).map((name) => nest.daemon(name, ...bootstrap)))));
    await until(
      () => 'all four vote',
      async () => (await Promise.all(daemons.map(({ client }) => client.call('swarm_info')))).every(({ seats }) => seats === NAMES.length),
      SOME_TIME_MS,
    );
    await learnTo((await finalOf(0)) + 3, [0, 1, 2, LAST]);
  });
  after(() => nest.end());

  it('one goes back by itself, stands there over a restart, and catches up to the same roots', async () => {
    const newest = await finalOf(LAST);
    const to = newest - 2;
    const then = await view(LAST, to);
    const stood = await command<RollbackView>(LAST, 'rollback', '--to', String(to));
    const { epoch, decision, modelRoot, stateRoot, treeSize, treeRoot } = then;
    assert.deepEqual(stood, { epoch, decision, modelRoot, stateRoot, treeSize, treeRoot });
    const { client } = at(LAST);
    assert.equal((await client.call('ledger_head')).treeRoot, then.treeRoot);
    assert.ok((await client.call('ledger_verify')).ok);
    await assert.rejects(contribute(client), (e) => e instanceof StarlingError && e.code === 'PINNED');

    await learnTo((await finalOf(0)) + 2, [0, 1, 2]);
    await at(LAST).process.end();
    daemons[LAST] = await nest.daemon('fourth', '--bootstrap', at(0).address);
    const still = await at(LAST).client.call('epoch_current');
    assert.deepEqual([still.pinned, still.applied.epoch, still.applied.modelRoot], [to, to, then.modelRoot]);

    await command(LAST, 'rollback', '--resume');
    const next = (await finalOf(0)) + 2;
    await learnTo(next, [0, 1, 2, LAST]);
    assert.equal((await at(LAST).client.call('epoch_current')).pinned, null);
    for (let n = to; n <= next; n++) await assertAlike(n);
  });

  it('three bring back the model of an earlier block for all, by ballot', async () => {
    const to = (await finalOf(0)) - 2;
    const wanted = (await view(0, to)).modelRoot;
    const ballots: BallotView[] = [];
    for (const i of [0, 1, 2]) ballots.push(await command<BallotView>(i, 'rollback', '--to', String(to), '--swarm'));
    assert.deepEqual(
      ballots.map(({ quorum }) => quorum),
      [3, 3, 3],
    );
    const restoredAt = await until(
      () => `a block restores the model of epoch ${to}`,
      async () => {
        const [list] = await Promise.all([at(LAST).client.call('epoch_list', { limit: 10 })]);
        return list.find((one) => one.epoch > to && one.status === 'finalized' && one.modelRoot === wanted)?.epoch;
      },
      SOME_TIME_MS,
    );
    await learnTo(restoredAt + 2, [0, 1, 2, LAST]);
    await assertAlike(restoredAt);
    await assertAlike(restoredAt + 2);
    // Nobody announces a trainer here, so that on a busy machine a block may come before any contribution.
    let last = restoredAt + 2;
    while ((await view(0, last)).modelRoot === wanted && last < restoredAt + 10) await learnTo(++last, [0, 1, 2, LAST]);
    assert.notEqual((await view(0, last)).modelRoot, wanted, 'and the swarm learns on from it');
  });

  it('the last one left founds a new swarm from a checkpoint, and another joins it', async () => {
    const note = join(nest.folder, 'checkpoint');
    const made = await command<{ epoch: number; modelRoot: string }>(0, 'ledger', 'checkpoint', '--out', note);
    for (const { process } of daemons) await process.end('SIGTERM');
    const to = nest.data('forked');
    const forked = await command<Forked>(0, 'swarm', 'fork', '--from', note, '--to', to);
    assert.deepEqual([forked.parent, forked.epoch, forked.modelRoot], [at(0).info.swarmId, made.epoch, made.modelRoot]);
    const founder = await nest.daemon('forked');
    assert.equal(founder.info.fingerprint, at(0).info.fingerprint);
    const joiner = await nest.daemon('joined', '--bootstrap', founder.address, '--swarm', forked.swarmId, '--listen', LISTEN.tcp);
    const { applied } = await joiner.client.call('epoch_current');
    assert.ok(applied.epoch > 0 || applied.modelRoot === made.modelRoot);
    await until(
      () => `the fork learns; it says:\n${founder.process.tail}`,
      async () => {
        await contribute(joiner.client).catch(() => undefined);
        const { finalized } = await founder.client.call('epoch_current');
        return finalized.modelRoot !== made.modelRoot;
      },
      SOME_TIME_MS,
    );
    assert.equal((await founder.client.call('epoch_get', { epoch: 0 })).modelRoot, made.modelRoot);
  });
});
