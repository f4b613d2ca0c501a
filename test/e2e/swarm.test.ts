import assert from 'node:assert/strict';
import { LISTEN, Nest, until } from '../support/daemons.ts';

/** Ms within which a newcomer must know a daemon that nobody told it of. */
const MEET_MS = 15_000;

for (const transport of ['tcp', 'quic'] as const)
  describe(`three daemons over ${transport}`, function () {
    this.timeout(60_000);
    let nest: Nest;
    before(() => {
      nest = new Nest();
    });
    after(() => nest.end());

    it('meet, each knowing one address at most, and share one swarm', async () => {
      const start = (name: string, ...flags: string[]) => nest.daemon(name, '--listen', LISTEN[transport], ...flags);
      const first = await start('first');
      const second = await start('second', '--bootstrap', first.address);
      const third = await start('third', '--bootstrap', second.address);
      assert.equal(second.info.swarmId, first.info.swarmId);
      assert.equal(third.info.swarmId, first.info.swarmId);

      const found = await until(
        () => `the third lists the first; it says:\n${third.process.tail}`,
        async () => (await third.client.call('peers_list')).find((peer) => peer.peerId === first.info.peerId && peer.source === 'dht'),
        MEET_MS,
      );
      assert.equal(found.transport, transport);
      assert.ok(found.addresses.length > 0);
      await until(
        () => 'the third knows which nodes its peers are',
        async () => {
          const known = (await third.client.call('peers_list')).map(({ fingerprint }) => fingerprint);
          return known.includes(first.info.fingerprint) && known.includes(second.info.fingerprint);
        },
      );
      await until(
        () => 'all three are members everywhere',
        async () => {
          const views = await Promise.all([first, second, third].map(({ client }) => client.call('swarm_info')));
          return views.every(({ members }) => members.length === 3);
        },
      );
    });
  });
