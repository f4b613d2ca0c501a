/**
 * One process of the flow bench: a libp2p node over one transport with the product's kept streams, a bare libp2p stream on the same
 * connection, and a plain socket. Does what its parent says.
 */
import { once } from 'node:events';
import { type AddressInfo, createConnection, createServer, type Socket } from 'node:net';
import { noise } from '@chainsafe/libp2p-noise';
import { quic } from '@chainsafe/libp2p-quic';
import { identify } from '@libp2p/identify';
import { tcp } from '@libp2p/tcp';
import { tls } from '@libp2p/tls';
import { multiaddr } from '@multiformats/multiaddr';
import { createLibp2p } from 'libp2p';
import { pEvent } from 'p-event';
import { QUIC } from '../../src/network/limits.ts';
import { PeerTable } from '../../src/network/peerTable.ts';
import { LibpStreams } from '../../src/network/streams.ts';
import { TrafficMeter } from '../../src/network/traffic.ts';
import { safeYamux } from '../../src/network/transports.ts';
import type { Node } from '../../src/network/types.ts';
import { CHUNK_BYTES } from '../../src/spec/index.ts';
import { recordingJournal, SWARM } from '../support/networkHosts.ts';

export type Channel = 'tcp/tls' | 'tcp/noise' | 'quic';
/** request: kept streams as the product asks, answered when stored. stream: libp2p's stream, no frames. socket: no encryption either. */
export type Path = 'request' | 'stream' | 'socket';
export type Command = { readonly dial: string; readonly port: number } | { readonly send: Path; readonly bytes: number } | 'usage';
export type Report =
  | { readonly address: string; readonly port: number }
  | 'sent'
  /** Ms of processor time so far. */
  | { readonly cpuMs: number };

const RAW = '/flow/1';
/** Requests on the way at once, as an exchange keeps to a peer. */
const WINDOW = 4;
const PROTOCOL = 'content';

const channel = process.argv[2] as Channel;
const node = (await createLibp2p({
  addresses: { listen: [channel === 'quic' ? '/ip4/127.0.0.1/udp/0/quic-v1' : '/ip4/127.0.0.1/tcp/0'] },
  transports: [channel === 'quic' ? quic(QUIC) : tcp()],
  connectionEncrypters: [channel === 'tcp/noise' ? noise() : tls()],
  streamMuxers: [safeYamux],
  metrics: () => new TrafficMeter().metrics(),
  services: { identify: identify() },
})) as unknown as Node;
const streams = new LibpStreams(SWARM, { node, peers: new PeerTable(), journal: recordingJournal() });
const STORED = new Uint8Array(1);
streams.handle(PROTOCOL, async () => STORED);
await streams.start();
await node.handle(RAW, (stream) => {
  stream.addEventListener('message', () => undefined);
  stream.addEventListener('end', () => void stream.close());
});
const server = createServer((socket) => socket.on('data', () => undefined).on('end', () => socket.end()));
server.listen(0, '127.0.0.1');
await once(server, 'listening');

let peer = '';
let socketPort = 0;
const chunk = new Uint8Array(CHUNK_BYTES).map((_, i) => Math.imul(i, 0x9e37_79b1) >> 24);

const SEND: Readonly<Record<Path, (chunks: number) => Promise<void>>> = {
  async request(chunks) {
    let left = chunks;
    const lane = async (): Promise<void> => {
      while (left-- > 0) await streams.request(peer, PROTOCOL, chunk, { timeoutMs: 60_000, maxResponseBytes: 1 });
    };
    await Promise.all(Array.from({ length: WINDOW }, lane));
  },
  async stream(chunks) {
    const stream = await (node.getConnections()[0] as ReturnType<Node['getConnections']>[number]).newStream(RAW);
    const ended = pEvent(stream, 'end');
    stream.addEventListener('message', () => undefined);
    for (let i = 0; i < chunks; i++) if (!stream.send(chunk)) await pEvent(stream, 'drain', { rejectionEvents: ['close'] });
    await stream.close();
    await ended;
  },
  async socket(chunks) {
    const socket: Socket = createConnection(socketPort, '127.0.0.1');
    await once(socket, 'connect');
    socket.on('data', () => undefined);
    for (let i = 0; i < chunks; i++) if (!socket.write(chunk)) await once(socket, 'drain');
    socket.end();
    await once(socket, 'end');
  },
};

const report = (what: Report): void => void process.send?.(what);
async function obey(command: Command): Promise<Report> {
  if (command === 'usage') {
    const { user, system } = process.cpuUsage();
    return { cpuMs: (user + system) / 1e3 };
  }
  if ('dial' in command) {
    socketPort = command.port;
    const address = multiaddr(command.dial);
    peer = address.getComponents().find(({ name }) => name === 'p2p')?.value ?? '';
    if (node.getConnections().length === 0) await node.dial(address);
    return listening();
  }
  await SEND[command.send](command.bytes / CHUNK_BYTES);
  return 'sent';
}
const listening = (): Report => ({ address: String(node.getMultiaddrs()[0]), port: (server.address() as AddressInfo).port });

process.on('message', (command: Command) => void obey(command).then(report));
process.once('disconnect', () => process.exit());
report(listening());
