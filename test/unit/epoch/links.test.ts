import assert from 'node:assert/strict';
import { LinkMeter } from '../../../src/epoch/links.ts';
import type { Streams } from '../../../src/epoch/ports.ts';
import { CHUNK_BYTES, LINK_EXPONENT_MAX, LINK_EXPONENT_MIN } from '../../../src/spec/index.ts';

/** Peers whose answers take as long as they are told to: `ms` is read when a request is made. */
class Peers {
  now = 0;
  readonly meter = new LinkMeter({ nowMs: () => this.now });
  readonly streams: Streams;
  readonly #listeners: ((peer: string, connected: boolean) => void)[] = [];
  answerBytes = 0;
  fails = false;

  constructor() {
    this.streams = this.meter.over({
      request: async (_peer, _protocol, payload) => {
        await this.until;
        if (this.fails) throw new Error('no answer');
        return new Uint8Array(this.answerBytes || payload.byteLength);
      },
      notify: () => undefined,
      handle: () => undefined,
      peers: () => [],
      onPeer: (listener) => void this.#listeners.push(listener),
    });
  }

  until: Promise<void> = Promise.resolve();

  leave(peer: string): void {
    for (const listener of this.#listeners) listener(peer, false);
  }

  /** `count` requests at once, all answered after so many ms. */
  async ask(peer: string, bytes: number, ms: number, count = 1): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.until = promise;
    const options = { timeoutMs: 1, maxResponseBytes: 1 };
    const asked = Array.from({ length: count }, () => this.streams.request(peer, 'average', new Uint8Array(bytes), options));
    this.now += ms;
    resolve();
    await Promise.allSettled(asked);
  }
}

/** e of 2^e microseconds. */
const exponentOf = (ms: number): number => Math.ceil(Math.log2(1_000 * ms));

describe('what requests tell of links', () => {
  it('is the shortest round trip of small ones, in powers of two, and nothing of whoever was not asked', async () => {
    const peers = new Peers();
    assert.equal(peers.meter.exponent('a'), 0);
    for (const ms of [300, 80, 90, 2_000]) await peers.ask('a', 100, ms);
    assert.equal(peers.meter.exponent('a'), 17);
    assert.equal(peers.meter.exponent('a'), exponentOf(80));
    assert.equal(peers.meter.exponent('b'), 0);
  });

  it('does not tell links apart that are near, or of no use', async () => {
    const peers = new Peers();
    await peers.ask('near', 100, 0.2);
    await peers.ask('room', 100, 15);
    await peers.ask('far', 100, 3_600_000);
    assert.equal(peers.meter.exponent('room'), 0, 'it is as long ago as that');
    await peers.ask('near', 100, 0.2);
    await peers.ask('room', 100, 15);
    assert.equal(peers.meter.exponent('near'), LINK_EXPONENT_MIN);
    assert.equal(peers.meter.exponent('room'), LINK_EXPONENT_MIN);
    assert.equal(peers.meter.exponent('far'), LINK_EXPONENT_MAX);
  });

  it('has a chunk there and back at the rate of large ones that overlap, or the median where few went', async () => {
    const peers = new Peers();
    for (const peer of ['a', 'b', 'c', 'd']) await peers.ask(peer, 100, 1);
    // 1 MiB at 2,048 bytes a ms; half of it would take as long.
    await peers.ask('a', CHUNK_BYTES / 2, 512, 4);
    assert.equal(peers.meter.exponent('a'), exponentOf(1 + 256));
    assert.equal(peers.meter.exponent('d'), exponentOf(1 + 256));
    await peers.ask('b', CHUNK_BYTES / 2, 64, 4);
    await peers.ask('c', CHUNK_BYTES / 2, 8, 4);
    assert.equal(peers.meter.exponent('c'), LINK_EXPONENT_MIN);
    assert.equal(peers.meter.exponent('d'), exponentOf(1 + 32));
    // One chunk may have waited for its receiver.
    await peers.ask('d', CHUNK_BYTES / 2, 1_000);
    assert.equal(peers.meter.exponent('d'), exponentOf(1 + 32));
  });

  it('counts no request that failed, forgets who went, and after ten minutes what it was', async () => {
    const peers = new Peers();
    peers.fails = true;
    await peers.ask('a', 100, 1);
    assert.equal(peers.meter.exponent('a'), 0);
    peers.fails = false;
    await peers.ask('a', 100, 20);
    await peers.ask('b', 100, 20);
    peers.leave('b');
    assert.equal(peers.meter.exponent('b'), 0);
    peers.now += 400_000;
    await peers.ask('a', 100, 70);
    assert.equal(peers.meter.exponent('a'), exponentOf(20));
    peers.now += 400_000;
    await peers.ask('a', 100, 70);
    assert.equal(peers.meter.exponent('a'), exponentOf(70));
  });
});
