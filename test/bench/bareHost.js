/**
 * A process with what a node needs of libp2p, loaded and listening, and nothing else: JavaScript, so that
 * no compiler is loaded with it. Says so to its parent, then idles.
 */
import { noise } from '@chainsafe/libp2p-noise';
import { quic } from '@chainsafe/libp2p-quic';
import { yamux } from '@chainsafe/libp2p-yamux';
import { gossipsub } from '@libp2p/gossipsub';
import { identify } from '@libp2p/identify';
import { kadDHT } from '@libp2p/kad-dht';
import { ping } from '@libp2p/ping';
import { tcp } from '@libp2p/tcp';
import { tls } from '@libp2p/tls';
import { createLibp2p } from 'libp2p';

await createLibp2p({
  addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
  transports: [tcp(), quic()],
  connectionEncrypters: [tls(), noise()],
  streamMuxers: [yamux()],
  services: { identify: identify(), ping: ping(), dht: kadDHT({ clientMode: false }), gossip: gossipsub() },
});
process.send?.('listening');
process.once('disconnect', () => process.exit());
