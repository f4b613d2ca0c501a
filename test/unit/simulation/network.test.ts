import assert from 'node:assert/strict';
import { Random } from '../../../src/learning/random.ts';
import { VirtualClock } from '../../../src/simulation/clock.ts';
import { type LinkModel, SimulatedNetwork, type SimulatedPort } from '../../../src/simulation/network.ts';
import { ACCEPT, GOSSIP_MAX_BYTES, StarlingError } from '../../../src/spec/index.ts';

const PLAIN: LinkModel = { loss: 0, minDelayMs: 5, maxDelayMs: 20, duplication: 0 };
const TOPIC = 'topic';
const OPTIONS = { timeoutMs: 2_000, maxResponseBytes: 1_000 };

interface Heard {
  readonly by: string;
  readonly from: string;
  readonly text: string;
  readonly atMs: number;
}

/** Peers a, b, c, ... on one network, all on one topic; what each hears, by gossip or notification, is written down. */
class Net {
  readonly clock = new VirtualClock();
  readonly network: SimulatedNetwork;
  readonly heard: Heard[] = [];
  readonly changes: string[] = [];

  constructor(names: string, link: Partial<LinkModel> = {}, seed = 1) {
    this.network = new SimulatedNetwork(this.clock, Random.from('network test', seed), { ...PLAIN, ...link });
    for (const name of names) this.attach(name);
  }

  attach(name: string): SimulatedPort {
    const port = this.network.attach(name);
    const note = (from: string, data: Uint8Array) =>
      this.heard.push({ by: name, from, text: Buffer.from(data).toString(), atMs: this.clock.nowMs() });
    port.subscribe(TOPIC);
    port.onMessage(async (_topic, data, from) => {
      note(from, data);
      return ACCEPT;
    });
    port.handle('roster', async (from, data) => {
      note(from, data);
      return undefined;
    });
    port.handle('head', async (from, data) => Buffer.from(`${name} to ${from}: ${Buffer.from(data)}`));
    port.handle('sync', async () => {
      throw new StarlingError('NOT_FOUND', 'nothing here');
    });
    port.onPeer((peer, connected) => this.changes.push(`${name}${connected ? '+' : '-'}${peer}`));
    return port;
  }

  port(name: string): SimulatedPort {
    return this.network.port(name) ?? assert.fail(`no ${name}`);
  }

  say(name: string, text: string): Promise<{ readonly recipients: number }> {
    return this.port(name).publish(TOPIC, Buffer.from(text));
  }

  wait(ms: number): Promise<boolean> {
    return this.clock.runUntil(() => false, this.clock.nowMs() + ms);
  }

  hearers(text: string): string {
    return this.heard
      .filter((h) => h.text === text)
      .map((h) => h.by)
      .sort()
      .join('');
  }
}

describe('the simulated network', () => {
  it('brings gossip to every other subscriber, within its delays, as a copy', async () => {
    const net = new Net('abcd');
    net.port('d').unsubscribe(TOPIC);
    const message = Buffer.from('hello');
    assert.deepEqual(await net.port('a').publish(TOPIC, message), { recipients: 2 });
    message.fill(0);
    await net.wait(100);
    assert.equal(net.hearers('hello'), 'bc');
    for (const { atMs, from } of net.heard) assert.ok(from === 'a' && atMs >= 5 && atMs <= 20);
    await assert.rejects(
      net.port('a').publish(TOPIC, new Uint8Array(GOSSIP_MAX_BYTES + 1)),
      (e) => (e as StarlingError).code === 'TOO_LARGE',
    );
  });

  it('connects peers shortly after they are attached, and tells both', async () => {
    const net = new Net('ab');
    assert.deepEqual(net.port('a').peers(), []);
    await net.wait(30);
    assert.deepEqual([net.port('a').peers(), net.port('b').peers(), net.changes.sort()], [['b'], ['a'], ['a+b', 'b+a']]);
  });

  it('parts and heals: nothing crosses, the loss is noticed late, contact returns after a while', async () => {
    const net = new Net('abcde');
    await net.wait(30);
    net.network.partition(['a', 'b'], ['c']);
    await net.say('a', 'cut');
    await net.say('c', 'alone');
    await net.say('d', 'rest');
    net.port('a').notify('c', 'roster', Buffer.from('whisper'));
    await net.wait(100);
    assert.deepEqual([net.hearers('cut'), net.hearers('alone'), net.hearers('rest'), net.hearers('whisper')], ['b', '', 'e', '']);
    assert.equal(net.port('a').peers().length, 4, 'not noticed yet');
    await net.wait(2_500);
    assert.deepEqual([net.port('a').peers(), net.port('c').peers(), net.port('d').peers()], [['b'], [], ['e']]);
    net.network.heal();
    await net.say('a', 'healed');
    await net.wait(100);
    assert.equal(net.hearers('healed'), 'bcde');
    assert.deepEqual(net.port('a').peers(), ['b']);
    await net.wait(1_000);
    assert.equal(net.port('c').peers().length, 4);
  });

  it('loses what is on its way when the cut comes', async () => {
    const net = new Net('ab');
    await net.say('a', 'under way');
    net.network.partition(['a'], ['b']);
    await net.wait(100);
    assert.equal(net.hearers('under way'), '');
  });

  it('loses, delays and repeats as often as it says', async () => {
    const net = new Net('ab', { loss: 0.2, duplication: 0.1, minDelayMs: 10, maxDelayMs: 30 });
    await net.wait(40);
    const n = 10_000;
    const startMs = net.clock.nowMs();
    for (let i = 0; i < n; i++) void net.say('a', `${i}`);
    await net.wait(5_000);
    const copies = new Map<string, number>();
    for (const { text } of net.heard) copies.set(text, (copies.get(text) ?? 0) + 1);
    const share = (k: number): number => (k === 0 ? n - copies.size : [...copies.values()].filter((c) => c === k).length) / n;
    // One copy with 0.9, two with 0.1, each lost with 0.2: five standard errors are below 0.02.
    for (const [k, p] of [0.9 * 0.2 + 0.1 * 0.04, 0.9 * 0.8 + 0.1 * 0.32, 0.1 * 0.64].entries())
      assert.ok(Math.abs(share(k) - p) < 0.02, `${k} copies: ${share(k)}, expected ${p}`);
    const delays = net.heard.map(({ atMs }) => atMs - startMs);
    assert.ok(Math.min(...delays) >= 10 && Math.max(...delays) <= 30);
    assert.ok(Math.abs(delays.reduce((a, b) => a + b, 0) / delays.length - 20) < 0.5);
    // Notifications are not sent again either.
    for (let i = 0; i < n; i++) net.port('a').notify('b', 'roster', Buffer.from('n'));
    await net.wait(100);
    assert.ok(Math.abs(net.hearers('n').length / n - 0.8) < 0.02);
  });

  it('answers requests in spite of loss, as TCP would: late', async () => {
    const net = new Net('ab', { loss: 0.5 });
    await net.wait(30);
    let answered = 0;
    let failed = 0;
    for (let i = 0; i < 200; i++) {
      void net
        .port('a')
        .request('b', 'head', Buffer.from(`${i}`), { ...OPTIONS, timeoutMs: 60_000 })
        .then(
          (answer) => {
            assert.equal(Buffer.from(answer).toString(), `b to a: ${i}`);
            answered++;
          },
          () => failed++,
        );
    }
    await net.wait(60_001);
    // A way that fails eight times in a row waits longer than a minute.
    assert.ok(answered + failed === 200 && failed < 10, `${failed} failed`);
  });

  it('names peer and phase when an answer does not come, and passes errors on', async () => {
    const net = new Net('abc');
    const ask = async (peer: string, protocol: 'head' | 'sync' | 'keys'): Promise<StarlingError> => {
      const asked = net
        .port('a')
        .request(peer, protocol, new Uint8Array(), OPTIONS)
        .catch((e) => e as StarlingError);
      await net.wait(OPTIONS.timeoutMs);
      const error = await asked;
      assert.ok(error instanceof StarlingError);
      return error;
    };
    // As over real streams: another's error, whatever its code, is never one of this node's own.
    const refused = await ask('b', 'sync');
    assert.deepEqual([refused.code, refused.facts.peer, refused.facts.reason], ['PEER_REFUSED', 'b', 'NOT_FOUND']);
    assert.equal((await ask('b', 'keys')).code, 'PEER_REFUSED');
    net.network.partition(['c']);
    const silent = await ask('c', 'head');
    assert.deepEqual([silent.code, silent.facts.peer, silent.facts.phase], ['PEER_TIMEOUT', 'c', 'head']);
    assert.equal((await ask('nobody', 'head')).code, 'PEER_TIMEOUT');
  });

  it('lets a process die: it says and hears nothing any more, and its successor has a port of its own', async () => {
    const net = new Net('abc');
    await net.wait(30);
    const old = net.port('a');
    await net.say('b', 'on its way');
    net.network.detach('a');
    await net.say('b', 'too late');
    await old.publish(TOPIC, Buffer.from('ghost'));
    old.notify('b', 'roster', Buffer.from('ghost'));
    void old.request('b', 'roster', Buffer.from('ghost'), OPTIONS).catch(() => undefined);
    await net.wait(3_000);
    assert.deepEqual([net.hearers('on its way'), net.hearers('too late'), net.hearers('ghost')], ['c', 'c', '']);
    assert.deepEqual(net.port('b').peers(), ['c']);
    net.attach('a');
    void old.request('b', 'roster', Buffer.from('ghost'), OPTIONS).catch(() => undefined);
    await net.wait(30);
    await net.say('b', 'again');
    await net.wait(30);
    assert.deepEqual([net.hearers('again'), net.hearers('ghost'), net.port('b').peers().length], ['ac', '', 2]);
  });

  it('does the same from the same seed, and something else from another', async () => {
    const run = async (seed: number): Promise<string> => {
      const net = new Net('abcde', { loss: 0.2, duplication: 0.1 }, seed);
      await net.wait(30);
      for (let i = 0; i < 40; i++) {
        await net.say('abcde'[i % 5] as string, `${i}`);
        net.port('a').notify('b', 'roster', Buffer.from(`n${i}`));
        if (i === 20) net.network.partition(['a', 'b']);
        await net.wait(7);
      }
      return JSON.stringify(net.heard);
    };
    const [one, again, other] = [await run(1), await run(1), await run(2)];
    assert.equal(again, one);
    assert.notEqual(other, one);
  });

  it('has a long tail where delays are exponential: 99 in 100 end in time, a few much later', async () => {
    const net = new Net('ab', { delay: 'exponential', minDelayMs: 10, maxDelayMs: 110 });
    const count = 5_000;
    for (let i = 0; i < count; i++) await net.say('a', `${i}`);
    await net.wait(5_000);
    const delays = net.heard.map((h) => h.atMs);
    const mean = delays.reduce((sum, d) => sum + d, 0) / count;
    assert.equal(delays.length, count);
    assert.ok(Math.min(...delays) >= 10);
    assert.ok(Math.abs(mean - (10 + 100 / Math.log(100))) < 1, `mean ${mean}`);
    const late = delays.filter((d) => d > 110).length / count;
    assert.ok(late > 0.006 && late < 0.014, `${late} late`);
    assert.ok(Math.max(...delays) > 150);
  });

  it('holds messages back so that later ones overtake them, as often as it says', async () => {
    const net = new Net('ab', { minDelayMs: 1, maxDelayMs: 2, reordering: 0.2 });
    for (let i = 0; i < 1_000; i++) {
      await net.say('a', `${i}`);
      await net.wait(5);
    }
    await net.wait(100);
    const order = net.heard.map((h) => Number(h.text));
    const overtaken = order.filter((n, i) => order.slice(i + 1).some((later) => later < n)).length;
    assert.equal(new Set(order).size, 1_000);
    // A held-back message (0.2) is overtaken by those of the next 5 ms or more, in 15 of 20 ms.
    assert.ok(overtaken > 100 && overtaken < 400, `${overtaken}`);
    assert.ok((await new Net('ab', { minDelayMs: 1, maxDelayMs: 2 }).say('a', 'x')).recipients === 1);
  });

  it('lets one who is dishonest tell some and not others', async () => {
    const net = new Net('abcd');
    const { recipients } = await net.port('a').publishTo((peer) => peer !== 'c', TOPIC, Buffer.from('secret'));
    await net.wait(100);
    assert.deepEqual([recipients, net.hearers('secret')], [2, 'bd']);
  });

  it('lives on when a handler fails', async () => {
    const net = new Net('ab');
    net.port('b').onMessage(() => Promise.reject(new Error('a bad day')));
    await net.say('a', 'one');
    await net.wait(100);
    assert.equal(net.hearers('one'), '');
  });
});
