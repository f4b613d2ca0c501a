import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { peerIdOf } from '../../src/network/index.ts';
import { StarlingError } from '../../src/spec/index.ts';
import { startChild } from '../support/networkChildren.ts';
import { LISTEN, makeHost, OTHER_SWARM, startHost, startSwarm, stopAll, TIMEOUT_MS, TRANSPORTS, until } from '../support/networkHosts.ts';
import { startRaw, stopRaw } from '../support/networkRaw.ts';

const port = (address: string): string => address.split('/')[4] as string;
const codeOf = (code: string) => (error: unknown) => error instanceof StarlingError && error.code === code;

for (const transport of TRANSPORTS)
  describe(`network peers over ${transport}`, function () {
    this.timeout(TIMEOUT_MS);

    afterEach(async () => {
      await stopRaw();
      await stopAll();
    });

    it('shows a third that knows only the second the first, found by DHT', async () => {
      const first = await startHost(transport);
      const second = await startHost(transport, { bootstrap: first.addresses() });
      await until('the second has the first', () => second.streams.peers().includes(first.peerId));
      const third = await startHost(transport, { bootstrap: second.addresses() });
      const found = () => third.peers().find((one) => one.peerId === first.peerId);
      await until('the third shows the first as dht', () => found()?.source === 'dht', 15_000);
      assert.equal(found()?.transport, transport);
      assert.equal(found()?.session.encryption, transport === 'tcp' ? '/tls/1.0.0' : 'quic');
      assert.deepEqual(found()?.addresses, first.addresses());
    });

    it('finds who shares its one bootstrap address with it, though pings are lost there', async () => {
      const { node, peers } = await startRaw(transport);
      await node.unhandle('/ipfs/ping/1.0.0');
      const bootstrap = node.getMultiaddrs().map(String);
      const hosts = [await startHost(transport, { bootstrap }), await startHost(transport, { bootstrap })] as const;
      await until('both are connected to the first', () => peers.peers().length === 2);
      await until('they are connected to each other', () => hosts[0].streams.peers().includes(hosts[1].peerId), 15_000);
    });

    it('makes a full mesh of eight from one address', async () => {
      const hosts = await startSwarm(transport, 8);
      assert.equal(hosts.length, 8);
    });

    it('says when a peer goes, dials it again and says when it is back', async () => {
      const [stays, leaves] = (await startSwarm(transport, 2)) as [
        Awaited<ReturnType<typeof startHost>>,
        Awaited<ReturnType<typeof startHost>>,
      ];
      const seen: boolean[] = [];
      stays.streams.onPeer((peer, connected) => {
        if (peer === leaves.peerId) seen.push(connected);
      });
      const address = leaves.addresses()[0] as string;
      await leaves.stop();
      await until('the loss is seen', () => seen.includes(false));
      assert.deepEqual(stays.peers(), []);
      // it comes back without a bootstrap address: only the one that stayed can dial
      await startHost(transport, { ed25519Seed: leaves.seed, listen: [address.replace(/\/p2p\/.*/, '')] });
      await until('the return is seen', () => seen.at(-1) === true);
      assert.deepEqual(seen, [false, true]);
    });

    it('is reached by a peer that was killed and comes back', async () => {
      const host = await startHost(transport);
      const child = await startChild(transport, host.addresses());
      await until('the child is connected', () => host.streams.peers().includes(child.peerId));
      await child.kill();
      const again = await startChild(transport, host.addresses(), child);
      assert.equal(again.peerId, child.peerId);
      const echo = () => host.streams.request(child.peerId, 'head', new Uint8Array([7]), { timeoutMs: 500, maxResponseBytes: 10 });
      let answer: Uint8Array | undefined;
      await until('the child answers again', () => {
        void echo().then(
          (bytes) => {
            answer = bytes;
          },
          () => undefined,
        );
        return answer !== undefined;
      });
      assert.deepEqual(answer, new Uint8Array([7]));
      await again.kill();
    });

    it('remembers peers over a restart', async () => {
      const [first, second] = (await startSwarm(transport, 2)) as [
        Awaited<ReturnType<typeof startHost>>,
        Awaited<ReturnType<typeof startHost>>,
      ];
      await second.stop();
      assert.deepEqual(second.remembered(), [{ peerId: first.peerId, addresses: first.addresses() }]);
      const book = { load: async () => second.remembered(), save: async () => undefined };
      const third = await startHost(transport, {}, { peerBook: book });
      await until('the remembered peer is connected', () => third.streams.peers().includes(first.peerId));
      assert.equal(third.peers()[0]?.source, 'memory');
    });

    it('reaches a bootstrap address although sixteen remembered ones of that peer are dead', async () => {
      const first = await startHost(transport);
      const dead = Array.from({ length: 16 }, (_, i) => (first.addresses()[0] as string).replace(/\d+(?=\/(?:quic-v1\/)?p2p)/, `${i + 1}`));
      const book = { load: async () => [{ peerId: first.peerId, addresses: dead }], save: async () => undefined };
      const second = await startHost(transport, { bootstrap: first.addresses() }, { peerBook: book });
      await until('the two meet', () => second.streams.peers().includes(first.peerId));
    });

    it('ends simultaneous dials with one connection and working gossip streams', async () => {
      const [a, b] = await Promise.all([startRaw(transport), startRaw(transport)]);
      const results = await Promise.all([a.node.dial(b.node.getMultiaddrs()), b.node.dial(a.node.getMultiaddrs())]);
      assert.equal(new Set(results.map((one) => one.remotePeer.toString())).size, 2);
      const gossips = (from: typeof a, to: typeof a) => from.node.services.gossip.getPeers().some((one) => one.equals(to.node.peerId));
      await until('one connection is left', () => {
        const counts = [a.node.getConnections().length, b.node.getConnections().length];
        return counts.every((one) => one === 1) && a.peers.has(b.node.peerId.toString()) && b.peers.has(a.node.peerId.toString());
      });
      await until('gossip has streams both ways', () =>
        [a, b].every((one) =>
          one.node
            .getConnections()[0]
            ?.streams.some((stream) => stream.direction === 'outbound' && stream.protocol.startsWith('/meshsub/')),
        ),
      );
      assert.ok(gossips(a, b) && gossips(b, a));
    });

    it('ends every stream of a connection that the other side lost', async () => {
      const [a, b] = await Promise.all([startRaw(transport), startRaw(transport)]);
      const connection = await b.node.dial(a.node.getMultiaddrs());
      const streams = await Promise.all(Array.from({ length: 4 }, () => connection.newStream(b.node.services.gossip.protocols)));
      // below the streams, so that nothing tells them one by one
      const below: { abort(error: Error): void } = Reflect.get(a.node.getConnections()[0] as object, 'maConn');
      below.abort(new Error('lost'));
      await until('none of them is open', () => streams.every((one) => one.status !== 'open'));
    });

    it('renews gossip streams that die while the connection lives', async () => {
      const [a, b] = await Promise.all([startRaw(transport), startRaw(transport)]);
      await a.node.dial(b.node.getMultiaddrs());
      const stream = () =>
        a.node.getConnections()[0]?.streams.find((one) => one.direction === 'outbound' && one.protocol.startsWith('/meshsub/'));
      await until('gossip has a stream', () => stream() !== undefined);
      const dead = stream();
      dead?.abort(new Error('its buffer was full'));
      await until('gossip has another stream', () => stream() !== undefined && stream() !== dead);
    });

    it('does not list a host of another swarm and says so', async () => {
      const host = await startHost(transport);
      const foreign = await startHost(transport, { swarmId: OTHER_SWARM });
      await assert.rejects(host.dial(foreign.addresses()[0] as string), codeOf('WRONG_SWARM'));
      assert.deepEqual(host.peers(), []);
      assert.deepEqual(host.streams.peers(), []);
      assert.ok(host.journal.lines.some((one) => one.level === 'warn' && one.facts.code === 'WRONG_SWARM'));
    });

    it('dials by hand', async () => {
      const [a, b] = await Promise.all([startHost(transport), startHost(transport)]);
      const view = await a.dial(b.addresses()[0] as string);
      assert.equal(view.peerId, b.peerId);
      assert.equal(view.source, 'dialled');
      assert.equal(view.session.direction, 'outbound');
      await until('the other lists it as inbound', () => b.peers()[0]?.source === 'inbound');
      await assert.rejects(a.dial('not an address'), codeOf('BAD_USAGE'));
    });

    it('refuses a port in use, naming it and the way out', async () => {
      const holder = await startHost(transport);
      const listen = LISTEN[transport].replace('/0', `/${port(holder.addresses()[0] as string)}`);
      const late = await makeHost({ listen: [listen] });
      await assert.rejects(late.start(), (error: unknown) => {
        assert.ok(error instanceof StarlingError);
        assert.equal(error.code, 'PORT_IN_USE');
        assert.equal(error.facts.field, listen);
        assert.match(error.facts.fix as string, /--listen/);
        return true;
      });
    });

    it('goes on without its bootstrap, says so, and reaches it when it comes up', async () => {
      const before = await startHost(transport);
      const address = before.addresses()[0] as string;
      await before.stop();
      const host = await startHost(transport, { bootstrap: [address] });
      await until('the journal tells', () => host.journal.lines.some((one) => one.level === 'warn' && one.facts.code === 'UNREACHABLE'));
      const line = host.journal.lines.find((one) => one.facts.code === 'UNREACHABLE');
      assert.match(String(line?.facts.address), new RegExp(address));
      assert.ok(String(line?.facts.fix).length > 10);
      await startHost(transport, { ed25519Seed: before.seed, listen: [address.replace(/\/p2p\/.*/, '')] });
      await until('the bootstrap is connected', () => host.streams.peers().includes(before.peerId));
      assert.equal(host.peers()[0]?.source, 'bootstrap');
    });

    it('takes a bootstrap address that does not name its peer', async () => {
      const first = await startHost(transport);
      const second = await startHost(transport, { bootstrap: first.addresses().map((one) => one.replace(/\/p2p\/.*/, '')) });
      await until('they are connected', () => second.streams.peers().includes(first.peerId));
      assert.equal(second.peers()[0]?.source, 'bootstrap');
    });
  });

describe('network host', () => {
  afterEach(stopAll);

  it('has the peer id of the node key', async () => {
    const { createPrivateKey, createPublicKey } = await import('node:crypto');
    const seed = new Uint8Array(32).fill(9);
    const pkcs8 = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed]);
    const jwk = createPublicKey(createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' })).export({ format: 'jwk' });
    const host = await makeHost({ listen: [], ed25519Seed: seed });
    assert.equal(host.peerId, peerIdOf(new Uint8Array(Buffer.from(jwk.x as string, 'base64url'))));
  });

  it('is not held up by an address where nobody speaks', async () => {
    const silent = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => silent.once('listening', resolve));
    const { port: silentPort } = silent.address() as { port: number };
    const first = await startHost('tcp');
    const second = await startHost('tcp', { bootstrap: [`/ip4/127.0.0.1/tcp/${silentPort}`, ...first.addresses()] });
    await until('the live bootstrap is connected', () => second.streams.peers().includes(first.peerId));
    silent.close();
  });
});
