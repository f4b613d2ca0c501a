import assert from 'node:assert/strict';
import { multiaddr } from '@multiformats/multiaddr';
import { ACCEPT, GOSSIP_MAX_BYTES, reject, StarlingError } from '../../src/spec/index.ts';
import { epochTopic, ledgerTopic } from '../../src/wire/index.ts';
import { SWARM, startSwarm, stopAll, type TestHost, TIMEOUT_MS, TRANSPORTS, until } from '../support/networkHosts.ts';
import { startRaw, stopRaw } from '../support/networkRaw.ts';

const TOPIC = epochTopic(SWARM, 1);
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();
const bytes = (what: string): Uint8Array => new Uint8Array(Buffer.from(what));

/** Messages by host, each as topic, text and sender. */
function record(hosts: readonly TestHost[], verdict = ACCEPT): Map<TestHost, string[]> {
  const heard = new Map(hosts.map((host) => [host, [] as string[]]));
  for (const host of hosts)
    host.gossip.onMessage(async (topic, data, from) => {
      heard.get(host)?.push(`${topic} ${text(data)} ${from}`);
      return verdict;
    });
  return heard;
}

for (const transport of TRANSPORTS)
  describe(`network gossip over ${transport}`, function () {
    this.timeout(TIMEOUT_MS);

    afterEach(async () => {
      await stopRaw();
      await stopAll();
    });

    /** A swarm that has TOPIC, with its mesh grown. */
    async function swarmOn(count: number): Promise<TestHost[]> {
      const hosts = await startSwarm(transport, count);
      for (const host of hosts) host.gossip.subscribe(TOPIC);
      let recipients = 0;
      let beat = 0;
      await until('the mesh has grown', () => {
        void hosts[0]?.gossip.publish(TOPIC, bytes(`beat ${beat++}`)).then((result) => {
          recipients = result.recipients;
        });
        return recipients === count - 1;
      });
      return hosts;
    }

    it('brings a message to every member once, and not back to its sender', async () => {
      const hosts = await swarmOn(4);
      const heard = record(hosts);
      const [first, ...others] = hosts as [TestHost, ...TestHost[]];
      assert.deepEqual(await first.gossip.publish(TOPIC, bytes('hello')), { recipients: 3 });
      const hellos = (host: TestHost) => (heard.get(host) ?? []).filter((one) => one.includes('hello'));
      await until('all heard it', () => others.every((host) => hellos(host).length > 0));
      assert.ok(others.every((host) => hellos(host).length === 1));
      assert.equal(hellos(first).length, 0);
      assert.ok(hellos(others[0] as TestHost)[0]?.startsWith(`${TOPIC} hello 12D3`));
    });

    it('subscribes and leaves any number of times, before the start too, and hears nothing after leaving', async () => {
      const [a, b] = (await swarmOn(2)) as [TestHost, TestHost];
      const heard = record([b]);
      b.gossip.subscribe(TOPIC);
      b.gossip.unsubscribe(TOPIC);
      b.gossip.unsubscribe(TOPIC);
      let recipients = 1;
      let count = 0;
      await until('nobody is left on the topic', () => {
        void a.gossip.publish(TOPIC, bytes(`late ${count++}`)).then((result) => {
          recipients = result.recipients;
        });
        return recipients === 0;
      });
      const before = heard.get(b)?.length;
      assert.deepEqual(await a.gossip.publish(TOPIC, bytes('lost')), { recipients: 0 });
      assert.equal(heard.get(b)?.length, before);
    });

    it('refuses 10 MiB at the sender', async () => {
      const [a] = (await startSwarm(transport, 2)) as [TestHost];
      a.gossip.subscribe(TOPIC);
      await assert.rejects(a.gossip.publish(TOPIC, new Uint8Array(10 * 1024 * 1024)), (error: unknown) => {
        assert.ok(error instanceof StarlingError);
        assert.equal(error.code, 'TOO_LARGE');
        assert.ok(error.facts.fix);
        return true;
      });
    });

    it('lets nothing of a hostile peer through: 10 MiB, over the bound, unknown topics; the others go on', async () => {
      const [a, b] = (await swarmOn(2)) as [TestHost, TestHost];
      const heard = record([a, b]);
      const hostile = await startRaw(transport);
      await hostile.node.dial(multiaddr(a.addresses()[0] as string));
      const gossip = hostile.node.services.gossip;
      gossip.subscribe(TOPIC);
      gossip.subscribe('/elsewhere');
      await until('the hostile peer hears the swarm', () => gossip.getSubscribers(TOPIC).length > 0);
      let tries = 0;
      // A subscription comes in before the stream out stands, and what is published until then goes to nobody.
      let reached: string[] = [];
      await until('what is over the bound was sent', () => {
        if (!reached.includes(a.peerId))
          void gossip.publish(TOPIC, new Uint8Array(GOSSIP_MAX_BYTES + 1).fill(tries++)).then((result) => {
            reached = result.recipients.map(String);
          });
        return reached.includes(a.peerId);
      });
      await until('and refused', () => (a.journal.counts.get('network_gossip_refused') ?? 0) > 0);
      await gossip.publish(ledgerTopic(SWARM), bytes('not subscribed')); // allowed, but nobody has it
      await until('what is within bounds arrives', () => {
        void gossip.publish(TOPIC, bytes(`within bounds ${tries++}`));
        return heard.get(a)?.some((one) => one.includes('within bounds')) === true;
      });
      const [connection] = hostile.node.getConnections();
      const huge = await (connection as NonNullable<typeof connection>).newStream(gossip.protocols[0] as string);
      huge.send(new Uint8Array([0x80, 0x80, 0x80, 0x05])); // an RPC of 10 MiB is announced...
      huge.send(new Uint8Array(2 * 1024 * 1024)); // ...and begins to come
      await until('the swarm goes on', () => {
        void b.gossip.publish(TOPIC, bytes(`still here ${tries++}`));
        return heard.get(a)?.some((one) => one.includes('still here')) === true;
      });
      assert.ok([...heard.values()].flat().every((one) => /within bounds|still here/.test(one) || one.includes('beat')));
      assert.deepEqual(a.streams.peers().includes(b.peerId), true);
    });

    it('does not forward what its handler rejects, and stops listening to who sends it', async () => {
      const [a, b] = (await swarmOn(2)) as [TestHost, TestHost];
      const heard: string[] = [];
      let judged = 0;
      const judge = (data: Uint8Array) => (text(data).startsWith('bad') ? reject('BAD_SIGNATURE', 'not signed') : ACCEPT);
      a.gossip.onMessage(async (_topic, data) => {
        judged += text(data).startsWith('bad') ? 1 : 0;
        return judge(data);
      });
      b.gossip.onMessage(async (_topic, data, from) => {
        heard.push(`${text(data)} ${from}`);
        return judge(data);
      });
      const { node } = await startRaw(transport);
      await node.dial(multiaddr(a.addresses()[0] as string));
      node.services.gossip.subscribe(TOPIC);
      await until('the hostile peer hears the swarm', () => node.services.gossip.getSubscribers(TOPIC).length > 0);
      let sent = 0;
      await until('twenty in a row are not listened to', () => {
        void node.services.gossip.publish(TOPIC, bytes(`bad ${sent++}`));
        return sent - judged > 20;
      });
      assert.ok(judged > 10, `${judged} were judged`);
      await a.gossip.publish(TOPIC, bytes('done'));
      await until('the other heard the last message', () => heard.includes(`done ${a.peerId}`));
      assert.deepEqual(
        heard.filter((one) => one.startsWith('bad') && one.endsWith(a.peerId)),
        [],
      );
    });
  });
