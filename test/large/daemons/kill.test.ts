import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { EpochView } from '../../../src/api/service.ts';
import { StarlingError } from '../../../src/spec/index.ts';
import { contribute, type Daemon, freePort, Nest, type Starling, until } from '../../support/daemons.ts';

/** Epochs that each trainer takes part in. */
const EPOCHS = 6;
/** How often a daemon is killed; a long run asks for more. */
const KILLS = Number(process.env.TEST_KILLS ?? 10);
/** Ms from a submission's begin to the kill, at most: it takes about half of this. */
const KILL_WITHIN_MS = 40;
/** Ms. A kill and a restart take two seconds on a busy machine; what comes before and after, the rest. */
const LIMIT_MS = 60_000 + 5_000 * KILLS;
/** What a trainer meets when its daemon dies, comes back, or went on without it. */
const PASSING = ['DAEMON_DOWN', 'EPOCH_PAST', 'EPOCH_FAR', 'ALREADY_CONTRIBUTED', 'TIMEOUT'];

type Roots = Pick<EpochView, 'status' | 'decision' | 'modelRoot' | 'stateRoot' | 'treeRoot'>;

/** What a daemon holds of each of the first epochs. */
const rootsOf = ({ client }: Daemon, epochs: number): Promise<Roots[]> =>
  Promise.all(
    Array.from({ length: epochs }, async (_, i) => {
      const { status, decision, modelRoot, stateRoot, treeRoot } = await client.call('epoch_get', { epoch: i + 1 });
      return { status, decision, modelRoot, stateRoot, treeRoot };
    }),
  );

/** Resolves once all daemons have applied these epochs and hold the same of each: fork choice may still have changed the last ones. */
async function agreed(daemons: readonly Daemon[], epochs: number): Promise<Roots[]> {
  for (const { client } of daemons) await client.call('epoch_wait', { epoch: epochs });
  let views: Roots[][] = [];
  return await until(
    () => `${daemons.length} daemons agree on ${epochs} epochs: ${JSON.stringify(views, null, 1)}`,
    async () => {
      views = await Promise.all(daemons.map((daemon) => rootsOf(daemon, epochs)));
      return new Set(views.map((view) => JSON.stringify(view))).size === 1 && views[0];
    },
  );
}

function unknown(error: unknown): undefined {
  if (!(error instanceof StarlingError) || error.code !== 'UNKNOWN_ENTRY') throw error;
}

async function assertVerified({ client }: Daemon): Promise<void> {
  const { ok, problems, forks } = await client.call('ledger_verify');
  assert.deepEqual({ ok, problems, forks }, { ok: true, problems: [], forks: [] });
}

describe('kill -9', function () {
  this.timeout(LIMIT_MS);
  let nest: Nest;
  beforeEach(() => {
    nest = new Nest();
  });
  afterEach(() => nest.end());

  it('of the founder in the middle of an epoch: the others finish with equal roots, and it catches up', async () => {
    // Each of the four votes, and three are a quorum.
    await nest.found('founder', [64, 8, 10], 'voting = "open"');
    const founder = await nest.daemon('founder');
    const names = ['second', 'third', 'fourth'];
    const others = await Promise.all(names.map((name) => nest.daemon(name, '--bootstrap', founder.address)));
    const common = ['train', '--dataset', 'digits', '--epochs', String(EPOCHS), '--min-trainers', '4'];
    const trainers = [founder, ...others].map(({ data }, i) => nest.spawn([...common, '--data', data, '--shard', `${i}/4`]));

    await until(
      () => 'an epoch after one with all four in it has begun',
      async () => {
        const [{ phase, epoch }, decided] = await Promise.all([founder.client.call('epoch_current'), founder.client.call('epoch_list')]);
        const full = decided.find(({ roster }) => roster.filter(({ weight }) => weight > 0).length === 4);
        return phase !== 'idle' && full !== undefined && epoch > full.epoch;
      },
    );
    await founder.process.end();

    for (const trainer of trainers.slice(1)) assert.equal((await trainer.ended).code, 0, trainer.tail);
    const reached = await Promise.all(others.map(async ({ client }) => (await client.call('epoch_current')).applied.epoch));
    const epochs = Math.min(...reached);
    assert.ok(epochs >= EPOCHS, `${reached}`);
    const roots = await agreed(others, epochs);
    assert.ok(
      roots.every(({ status }) => status === 'finalized'),
      'every epoch of theirs is final',
    );

    const back = await nest.daemon('founder');
    assert.equal(back.info.fingerprint, founder.info.fingerprint);
    assert.deepEqual(await agreed([back], epochs), roots);
    const [own] = trainers as [Starling];
    assert.equal((await own.ended).code, 0, own.tail);
    const { epoch } = await contribute(back.client);
    await agreed([back, ...others], epoch);
    await Promise.all([back, ...others].map(assertVerified));
  });

  it(`of a daemon ${KILLS} times at random moments: every contribution whose id was returned is there afterwards`, async () => {
    // Nothing is archived in between: every entry and epoch is asked for at the end.
    await nest.found('0', undefined, 'retain_epochs = 100_000');
    // Fixed ports, as a daemon that is restarted has them.
    const listen = await Promise.all([freePort(), freePort()]).then((ports) => ports.map((port) => `/ip4/127.0.0.1/tcp/${port}`));
    const start = (d: number) =>
      nest.daemon(String(d), '--listen', listen[d] as string, ...(d === 0 ? [] : ['--bootstrap', listen[0] as string]));
    const daemons = [await start(0), await start(1)];
    const at = (d: number): Daemon => daemons[d] as Daemon;
    /** Ids returned by each daemon. */
    const returned: string[][] = [[], []];
    const submitting = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    let over = false;

    const train = async (d: number): Promise<void> => {
      while (!over) {
        try {
          submitting[d]?.resolve();
          const { contributionId, epoch } = await contribute(at(d).client);
          if (contributionId !== null) returned[d]?.push(contributionId);
          await at(d).client.call('epoch_wait', { epoch, timeoutMs: 1_000 });
        } catch (error) {
          if (!(error instanceof StarlingError) || !PASSING.includes(error.code)) throw error;
          await sleep(20);
        }
      }
    };
    const missing = async ({ client }: Daemon, ids: readonly string[]): Promise<string[]> => {
      const found = await Promise.all(ids.map((id) => client.call('ledger_get', { id }).catch(unknown)));
      return ids.filter((_, i) => found[i] === undefined);
    };

    const training = Promise.all([train(0), train(1)]);
    for (let kill = 0; kill < KILLS; kill++) {
      const d = kill % 2;
      submitting[d] = Promise.withResolvers<void>();
      await Promise.race([submitting[d]?.promise, training]);
      await sleep(Math.random() * KILL_WITHIN_MS);
      await at(d).process.end();
      daemons[d] = await start(d);
      assert.deepEqual(await missing(at(d), [...(returned[d] as string[])]), [], `after kill ${kill + 1}`);
    }
    over = true;
    await training;

    await agreed(daemons, (await at(0).client.call('epoch_current')).applied.epoch);
    assert.ok(
      returned.every((ids) => ids.length > 1),
      `${returned.map((ids) => ids.length)} contributions`,
    );
    const ids = returned.flat();
    for (const daemon of daemons) {
      await until(
        () => `daemon ${daemon.info.fingerprint} holds every contribution`,
        async () => (await missing(daemon, ids)).length === 0,
      );
      await assertVerified(daemon);
    }
  });
});
