import assert from 'node:assert/strict';
import { multiaddr } from '@multiformats/multiaddr';
import { PeerTable } from '../../../src/network/peerTable.ts';
import type { Connection } from '../../../src/network/types.ts';

const connection = (peer: string, address: string, direction: 'inbound' | 'outbound'): Connection =>
  ({ remotePeer: { toString: () => peer }, remoteAddr: multiaddr(address), direction, encryption: '/noise' }) as unknown as Connection;

describe('peer table', () => {
  it('tells a peer once when it comes and once when it goes', () => {
    const table = new PeerTable();
    const told: string[] = [];
    table.onPeer((peer, connected) => void told.push(`${peer} ${connected}`));
    table.connected('a', ['/ip4/192.0.2.1/tcp/1']);
    table.connected('a', ['/ip4/192.0.2.2/tcp/1']);
    table.disconnected('b');
    table.disconnected('a');
    table.disconnected('a');
    assert.deepEqual(told, ['a true', 'a false']);
    assert.deepEqual(table.peers(), []);
  });

  it('says where a peer came from: the first word stands, the word of the DHT above it', () => {
    const table = new PeerTable();
    const source = (direction: 'inbound' | 'outbound') => table.describe(connection('a', '/ip4/192.0.2.1/tcp/1', direction)).source;
    assert.deepEqual([source('inbound'), source('outbound')], ['inbound', 'dialled']);
    table.learned('a', 'memory');
    table.learned('a', 'bootstrap');
    assert.equal(source('outbound'), 'memory');
    table.learned('a', 'dht');
    table.learned('a', 'bootstrap');
    assert.equal(source('inbound'), 'dht');
  });

  it('names the transport and what protects it', () => {
    const table = new PeerTable();
    const view = (address: string) => table.describe(connection('a', address, 'inbound'));
    assert.deepEqual([view('/ip4/192.0.2.1/tcp/1').transport, view('/ip4/192.0.2.1/tcp/1').session.encryption], ['tcp', '/noise']);
    const quic = view('/ip4/192.0.2.1/udp/1/quic-v1');
    assert.deepEqual([quic.transport, quic.session.encryption, quic.latencyMs], ['quic', 'quic', null]);
  });
});
