import assert from 'node:assert/strict';
import { contribute, type Daemon, Nest, until } from '../support/daemons.ts';

for (const encoding of ['topk', 'sign'] as const)
  describe(`two daemons whose updates travel as ${encoding}`, function () {
    this.timeout(60_000);
    let nest: Nest;
    before(() => {
      nest = new Nest();
    });
    after(() => nest.end());

    it('take each other in and reach one model', async () => {
      await nest.found('first', [64, 32, 10], `encoding = "${encoding}"`, 'dtype = "int8"');
      const first = await nest.daemon('first');
      const second = await nest.daemon('second', '--bootstrap', first.address);
      const daemons: readonly Daemon[] = [first, second];
      await until(
        () => 'both are members everywhere',
        async () =>
          (await Promise.all(daemons.map(({ client }) => client.call('swarm_info')))).every(({ members }) => members.length === 2),
      );
      let model = (await first.client.call('epoch_get', { epoch: 0 })).modelRoot;
      for (const author of daemons) {
        const { epoch } = await contribute(author.client);
        await Promise.all(daemons.map(({ client }) => client.call('epoch_wait', { epoch })));
        const view = (daemon: Daemon) => daemon.client.call('epoch_get', { epoch });
        const [here, there] = await Promise.all([view(first), view(second)]);
        assert.ok(here.roster.some(({ author: by, weight }) => by === author.info.fingerprint && weight > 0));
        assert.deepEqual([there.modelRoot, there.stateRoot], [here.modelRoot, here.stateRoot]);
        assert.notEqual(here.modelRoot, model, 'the model has moved');
        model = here.modelRoot;
      }
    });
  });
