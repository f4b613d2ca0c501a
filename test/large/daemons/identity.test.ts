import assert from 'node:assert/strict';
import { cpSync } from 'node:fs';
import { StarlingError } from '../../../src/spec/index.ts';
import { contribute, type Daemon, Nest, until } from '../../support/daemons.ts';

/** Ms within which two processes that sign as one have met: one contributes, and an exchange with a peer is never far. */
const MEET_MS = 40_000;
/** What a trainer meets whose node has a twin. */
const PASSING = ['DAEMON_DOWN', 'EPOCH_PAST', 'EPOCH_FAR', 'ALREADY_CONTRIBUTED', 'FORKED_AUTHOR', 'AGGREGATE_MISSING', 'TIMEOUT'];

describe('a copy of a data folder that is started beside the original', function () {
  this.timeout(120_000);
  let nest: Nest;
  before(() => {
    nest = new Nest();
  });
  after(() => nest.end());

  /** One final epoch more, with what these can contribute. */
  async function epoch(founder: Daemon, daemons: readonly Daemon[]): Promise<void> {
    const { finalized } = await founder.client.call('epoch_current');
    for (const { client, process } of daemons)
      if (process.isRunning)
        await contribute(client).catch((error: unknown) => {
          if (!(error instanceof StarlingError) || !PASSING.includes(error.code)) throw error;
        });
    await until(
      () => `a block after ${finalized.epoch}; the founder says:\n${founder.process.tail}`,
      async () => (await founder.client.call('epoch_current')).finalized.epoch > finalized.epoch,
    );
  }

  it('ends a process with IDENTITY_IN_USE, no vote is signed twice, and the others go on; alone again, the original is taken back', async () => {
    await nest.found('founder', [4, 3, 2], 'voting = "open"');
    const founder = await nest.daemon('founder');
    const second = await nest.daemon('second', '--bootstrap', founder.address);
    const first = await nest.daemon('third', '--bootstrap', founder.address);
    const member = async ({ client }: Daemon) =>
      (await client.call('swarm_info')).members.find(({ fingerprint }) => fingerprint === first.info.fingerprint);
    await until(
      () => 'all three vote',
      async () => (await founder.client.call('swarm_info')).members.filter(({ vote }) => vote === 'voter').length === 3,
    );
    await epoch(founder, [founder, second, first]);

    // As a backup is made: of a process that is not running. Then both go on.
    await first.process.end();
    cpSync(first.data, nest.data('twin'), { recursive: true });
    const third = await nest.daemon('third', '--bootstrap', founder.address);
    const twin = await nest.daemon('twin', '--bootstrap', founder.address);
    assert.deepEqual([twin.info.fingerprint, third.info.fingerprint], [first.info.fingerprint, first.info.fingerprint]);
    const both = [third, twin];
    await until(
      () => `one of them stops; they say:\n${third.process.tail}\n${twin.process.tail}`,
      async () => {
        await epoch(founder, [founder, second, third]);
        return both.some(({ process }) => !process.isRunning);
      },
      MEET_MS,
    );
    const stopped = both.filter(({ process }) => !process.isRunning);
    for (const { process } of stopped) {
      const { code, stderr } = await process.ended;
      assert.equal(code, 1, stderr);
      assert.match(stderr, /error IDENTITY_IN_USE: another process (signs|votes) with this node's identity/);
      assert.match(stderr, /fix: stop the other daemon; if this data folder is a copy, give it an identity of its own/);
    }
    for (const { process } of both) if (process.isRunning) await process.end('SIGTERM');

    // Nobody else noticed more than a fork: no vote contradicts another, nobody is expelled, both are one swarm.
    const others = [founder, second];
    await epoch(founder, others);
    for (const { process, client } of others) {
      assert.deepEqual(
        process.log.filter(({ code }) => code === 'EQUIVOCATION'),
        [],
      );
      const { ok, problems } = await client.call('ledger_verify');
      assert.deepEqual([ok, problems], [true, []]);
      assert.deepEqual(new Set((await client.call('swarm_info')).members.map(({ vote }) => vote)), new Set(['voter']));
    }
    const { epoch: last } = (await founder.client.call('epoch_current')).finalized;
    await second.client.call('epoch_wait', { epoch: last });
    const [here, there] = await Promise.all(others.map(({ client }) => client.call('epoch_get', { epoch: last })));
    assert.deepEqual([here?.decision, here?.stateRoot, here?.status], [there?.decision, there?.stateRoot, 'finalized']);

    const alone = await nest.daemon('third', '--bootstrap', founder.address);
    await until(
      () => `it is in good standing again; it says:\n${alone.process.tail}`,
      async () => (await member(founder))?.status === 'active' && (await member(alone))?.status === 'active',
      30_000,
    );
    await contribute(alone.client);
    await epoch(founder, others);
    assert.equal((await member(founder))?.status, 'active');
  });
});
