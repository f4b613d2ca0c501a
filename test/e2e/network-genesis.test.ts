import assert from 'node:assert/strict';
import { fetchGenesis } from '../../src/network/index.ts';
import { StarlingError } from '../../src/spec/index.ts';
import {
  genesisBytes,
  initialModel,
  OTHER_SWARM,
  recordingJournal,
  SWARM,
  servedFrom,
  startHost,
  stopAll,
  TIMEOUT_MS,
  TRANSPORTS,
} from '../support/networkHosts.ts';

const codeOf = (code: string) => (error: unknown) => error instanceof StarlingError && error.code === code;

for (const transport of TRANSPORTS)
  describe(`network genesis over ${transport}`, function () {
    this.timeout(TIMEOUT_MS);

    afterEach(stopAll);

    const journal = recordingJournal();
    const options = { timeoutMs: 5_000, journal };

    it('gives a newcomer the genesis and the first model', async () => {
      const host = await startHost(transport);
      const fetched = await fetchGenesis(host.addresses()[0] as string, { ...options, swarmId: SWARM });
      assert.deepEqual(Buffer.from(fetched.genesisBytes), Buffer.from(genesisBytes));
      assert.equal(fetched.swarmId, SWARM);
      assert.equal(fetched.genesis.name, 'network test');
      assert.ok(Buffer.from(initialModel).equals(fetched.initialModel));
      assert.equal(fetched.from, host.peerId);
      assert.deepEqual(host.peers(), []);
    });

    it('refuses a corrupted model, naming who gave it', async () => {
      const corrupted = initialModel.slice();
      corrupted[700_000] = (corrupted[700_000] as number) ^ 1;
      const host = await startHost(transport, {}, { genesis: { genesisBytes, blobs: servedFrom(corrupted) } });
      await assert.rejects(fetchGenesis(host.addresses()[0] as string, options), (error: unknown) => {
        assert.ok(error instanceof StarlingError);
        assert.equal((error.cause as StarlingError).code, 'HASH_MISMATCH');
        assert.equal(error.facts.peer, host.peerId);
        return true;
      });
    });

    it('refuses another swarm than the one asked for, before its model', async () => {
      const host = await startHost(transport);
      await assert.rejects(fetchGenesis(host.addresses()[0] as string, { ...options, swarmId: OTHER_SWARM }), codeOf('WRONG_SWARM'));
      assert.ok(host.traffic().sentBytes < 100_000);
    });

    it('names the address and the fix when nobody answers', async () => {
      const host = await startHost(transport);
      const address = host.addresses()[0] as string;
      await host.stop();
      await assert.rejects(fetchGenesis(address, { ...options, timeoutMs: 1_000 }), (error: unknown) => {
        assert.ok(error instanceof StarlingError);
        assert.deepEqual([error.code, error.facts.peer], ['UNREACHABLE', address]);
        assert.ok(error.facts.fix);
        return true;
      });
    });
  });
