import assert from 'node:assert/strict';
import { parseAddress, peerIn, withPeer } from '../../../src/network/address.ts';
import { hostKey } from '../../../src/network/identity.ts';
import { StarlingError } from '../../../src/spec/index.ts';

describe('addresses', () => {
  it('carry the peer behind them once', async () => {
    const { peerId } = await hostKey(new Uint8Array(32));
    const bare = '/ip4/192.0.2.1/udp/1/quic-v1';
    assert.equal(withPeer(parseAddress(bare), peerId), `${bare}/p2p/${peerId}`);
    assert.equal(withPeer(parseAddress(`${bare}/p2p/${peerId}`), peerId), `${bare}/p2p/${peerId}`);
    assert.deepEqual([peerIn(bare), peerIn(`${bare}/p2p/${peerId}`)], [undefined, peerId]);
  });

  it('that are none are refused with an example', () => {
    for (const text of ['', 'localhost:7740', '/ip4/999.0.0.1/tcp/1', '/nonsense'])
      assert.throws(
        () => parseAddress(text),
        (error: unknown) => error instanceof StarlingError && error.code === 'BAD_USAGE' && /ip4/.test(String(error.facts.fix)),
      );
  });
});
