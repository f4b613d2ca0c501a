import assert from 'node:assert/strict';
import { existsSync, rmSync } from 'node:fs';
import { dataFolderAt } from '../../../src/storage/index.ts';
import { contribute, Nest, until } from '../../support/daemons.ts';

describe('a founder whose databases are gone', function () {
  this.timeout(90_000);
  let nest: Nest;
  beforeEach(() => {
    nest = new Nest();
  });
  afterEach(() => nest.end());

  it('says why it waits, begins nothing by itself, and is whole again once a member is in reach', async () => {
    await nest.found('founder');
    const folder = dataFolderAt(nest.data('founder'));
    assert.ok(existsSync(folder.founding));
    const founder = await nest.daemon('founder');
    const second = await nest.daemon('second', '--bootstrap', founder.address);
    const receipts = await Promise.all([founder, second].map(({ client }) => contribute(client)));
    for (const { client } of [founder, second]) await client.call('epoch_wait', { epoch: Math.max(...receipts.map((r) => r.epoch)) });
    assert.ok(!existsSync(folder.founding), 'founding ends with the first block');
    const { finalized } = await second.client.call('epoch_current');
    await founder.process.end('SIGTERM');
    for (const path of [folder.ledger, folder.blocks, folder.node, folder.peers])
      for (const suffix of ['', '-wal', '-shm']) rmSync(`${path}${suffix}`, { force: true });

    const alone = await nest.daemon('founder');
    await alone.process.logged({ level: 40, msg: "this node's ledger is empty; it waits for a peer that tells what it holds" });
    assert.equal((await alone.client.call('epoch_current')).finalized.epoch, 0);
    await alone.process.end('SIGTERM');

    const back = await nest.daemon('founder', '--bootstrap', second.address);
    await until(
      () => `the founder has the blocks of its swarm; it says:\n${back.process.tail}`,
      async () => (await back.client.call('epoch_current')).finalized.epoch >= finalized.epoch,
    );
    // It alone is the committee: the second waits for a third.
    const { epoch } = await contribute(second.client);
    for (const { client } of [back, second]) await client.call('epoch_wait', { epoch });
    const heads = await Promise.all([back, second].map(async ({ client }) => await client.call('ledger_verify')));
    for (const { ok, problems, forks } of heads) assert.deepEqual({ ok, problems, forks }, { ok: true, problems: [], forks: [] });
  });
});
