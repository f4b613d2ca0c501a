import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import type { FsckReport } from '../../src/node/fsck.ts';
import { dataFolderAt } from '../../src/storage/index.ts';
import { contribute, type Daemon, Nest, until } from '../support/daemons.ts';

const EPOCHS = 4;

describe('starling fsck --repair', function () {
  this.timeout(90_000);
  let nest: Nest;
  beforeEach(() => {
    nest = new Nest();
  });
  afterEach(() => nest.end());

  async function fsck(name: string, ...flags: readonly string[]): Promise<{ readonly code: number | null; readonly report: FsckReport }> {
    const { code, stdout } = await nest.run('fsck', '--data', nest.data(name), '--json', ...flags);
    return { code, report: JSON.parse(stdout) as FsckReport };
  }

  async function agreed(daemons: readonly Daemon[]): Promise<void> {
    let heads: unknown[] = [];
    await until(
      () => `all hold the same ledger: ${JSON.stringify(heads, null, 1)}`,
      async () => {
        heads = await Promise.all(daemons.map(async ({ client }) => await client.call('ledger_head')));
        return new Set(heads.map((head) => JSON.stringify(head))).size === 1;
      },
      30_000,
    );
  }

  it('makes a node whole again whose databases are all damaged: the rest comes from its peer, and its own chain goes on', async () => {
    await nest.found('founder');
    const founder = await nest.daemon('founder');
    const second = await nest.daemon('second', '--bootstrap', founder.address);
    for (let i = 0; i < EPOCHS; i++) {
      const receipts = await Promise.all([founder, second].map(({ client }) => contribute(client)));
      for (const { client } of [founder, second])
        await client.call('epoch_wait', { epoch: Math.max(...receipts.map(({ epoch }) => epoch)) });
    }
    await agreed([founder, second]);
    // Stopped, so that the logs are written back: a log that holds every page heals what lies under it.
    await second.process.end('SIGTERM');
    assert.deepEqual((await fsck('second')).report.problems, []);

    const folder = dataFolderAt(nest.data('second'));
    const ledger = readFileSync(folder.ledger);
    writeFileSync(folder.ledger, ledger.fill(0xee, ledger.length >> 1));
    for (const path of [folder.blocks, folder.node]) writeFileSync(path, 'garbage'.repeat(2_000));
    const found = await fsck('second');
    assert.deepEqual([found.code, found.report.ok], [1, false]);
    for (const name of ['ledger.db', 'blocks.db', 'node.db'])
      assert.ok(
        found.report.problems.some(({ where }) => where.startsWith(name)),
        JSON.stringify(found.report.problems),
      );
    assert.equal((await fsck('second', '--repair')).code, 0);
    assert.deepEqual((await fsck('second')).report.problems, []);

    const back = await nest.daemon('second', '--bootstrap', founder.address);
    assert.equal(back.info.fingerprint, second.info.fingerprint);
    await agreed([founder, back]);
    const { epoch } = await contribute(back.client);
    for (const { client } of [founder, back]) await client.call('epoch_wait', { epoch });
    await agreed([founder, back]);
    for (const { client } of [founder, back]) {
      const { ok, problems, forks } = await client.call('ledger_verify');
      assert.deepEqual({ ok, problems, forks }, { ok: true, problems: [], forks: [] });
    }
  });
});
