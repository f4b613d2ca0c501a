import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  epochTopic,
  GENESIS_PROTOCOL,
  kadProtocol,
  ledgerTopic,
  parseStreamProtocol,
  parseTopic,
  streamProtocol,
  votesTopic,
} from '../../../src/wire/index.ts';

const swarm = `0123abcd${'f'.repeat(56)}`;

describe('topics', () => {
  it('have the names of PROTOCOL section 2', () => {
    assert.equal(epochTopic(swarm, 12), '/starling/0123abcd/epoch/12');
    assert.equal(ledgerTopic(swarm), '/starling/0123abcd/ledger');
    assert.equal(votesTopic(swarm), '/starling/0123abcd/votes');
    assert.equal(streamProtocol(swarm, 'sync'), '/starling/0123abcd/sync/1');
    assert.equal(kadProtocol(swarm), '/starling/0123abcd/kad/1');
    assert.equal(GENESIS_PROTOCOL, '/starling/genesis/1');
  });

  it('are read back', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (epoch) => {
        assert.deepEqual(parseTopic(epochTopic(swarm, epoch)), { kind: 'epoch', swarm8: '0123abcd', epoch });
      }),
    );
    assert.deepEqual(parseTopic(ledgerTopic(swarm)), { kind: 'ledger', swarm8: '0123abcd' });
    assert.deepEqual(parseTopic(votesTopic(swarm)), { kind: 'votes', swarm8: '0123abcd' });
    assert.deepEqual(parseStreamProtocol(streamProtocol(swarm, 'keys')), { swarm8: '0123abcd', name: 'keys' });
  });

  it('are refused in any other form', () => {
    for (const topic of [
      '',
      '/starling/0123abcd',
      '/starling/0123ABCD/ledger',
      '/starling/0123abcd/epoch/01',
      '/starling/0123abcd/epoch/-1',
      '/starling/0123abcd/epoch/9007199254740993',
      '/starling/0123abcd/ledger/',
      '/starling/0123abcd/votes/1',
      '/other/0123abcd/ledger',
    ])
      assert.throws(() => parseTopic(topic), { code: 'MALFORMED' }, topic);
    for (const protocol of ['/starling/0123abcd/sync/2', '/starling/0123abcd//1', '/starling/sync/1', '/ipfs/id/1.0.0'])
      assert.throws(() => parseStreamProtocol(protocol), { code: 'MALFORMED' }, protocol);
  });
});
