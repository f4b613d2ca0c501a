import assert from 'node:assert/strict';
import { multiaddr } from '@multiformats/multiaddr';
import { STREAM_PROTOCOLS } from '../../src/epoch/ports.ts';
import { FRAME_MAX_BYTES, StarlingError } from '../../src/spec/index.ts';
import { streamProtocol } from '../../src/wire/index.ts';
import { SWARM, startHost, startSwarm, stopAll, type TestHost, TIMEOUT_MS, TRANSPORTS, until } from '../support/networkHosts.ts';
import { startRaw, stopRaw } from '../support/networkRaw.ts';

const LIMITS = { timeoutMs: 5_000, maxResponseBytes: FRAME_MAX_BYTES };
const never = new Promise<never>(() => undefined);

for (const transport of TRANSPORTS)
  describe(`network streams over ${transport}`, function () {
    this.timeout(TIMEOUT_MS);

    let asker: TestHost;
    let answerer: TestHost;

    beforeEach(async () => {
      [asker, answerer] = (await startSwarm(transport, 2)) as [TestHost, TestHost];
    });
    afterEach(async () => {
      await stopRaw();
      await stopAll();
    });

    const ask = (payload: Uint8Array, limits = LIMITS) => asker.streams.request(answerer.peerId, 'sync', payload, limits);

    it('answers each of many outstanding requests with its own answer, up to the largest frame', async () => {
      answerer.streams.handle('sync', async (from, payload) => {
        assert.equal(from, asker.peerId);
        return new Uint8Array(payload[0] === 0 ? FRAME_MAX_BYTES : 10).fill(payload[0] as number);
      });
      const answers = await Promise.all(Array.from({ length: 40 }, (_, i) => ask(new Uint8Array([i % 4]))));
      assert.ok(
        answers.every((answer, i) => answer.length === (i % 4 === 0 ? FRAME_MAX_BYTES : 10) && answer.every((byte) => byte === i % 4)),
      );
    });

    it('answers out of order: a slow request does not hold up the next', async () => {
      let release = (): void => undefined;
      const gate = new Promise<void>((resolve) => {
        release = resolve;
      });
      answerer.streams.handle('sync', async (_from, payload) => {
        if (payload[0] === 1) await gate;
        return payload;
      });
      const slow = ask(new Uint8Array([1]));
      assert.deepEqual(await ask(new Uint8Array([2])), new Uint8Array([2]));
      release();
      assert.deepEqual(await slow, new Uint8Array([1]));
    });

    it('brings a thrown error back as a refusal with its code and message', async () => {
      answerer.streams.handle('sync', async () => {
        throw new StarlingError('MISSING_PARENT', 'entry 12 is not here');
      });
      await assert.rejects(ask(new Uint8Array(1)), (error: unknown) => {
        assert.ok(error instanceof StarlingError);
        assert.deepEqual([error.code, error.facts.reason, error.facts.peer], ['PEER_REFUSED', 'MISSING_PARENT', answerer.peerId]);
        assert.match(error.message, /entry 12 is not here/);
        return true;
      });
    });

    it('refuses a request that nobody serves yet', async () => {
      await assert.rejects(
        ask(new Uint8Array(1)),
        (error: unknown) => error instanceof StarlingError && error.facts.reason === 'NOT_READY',
      );
    });

    it('times out naming peer and phase, and the stream goes on', async () => {
      answerer.streams.handle('sync', (_from, payload) => (payload[0] === 1 ? never : Promise.resolve(payload)));
      await assert.rejects(ask(new Uint8Array([1]), { ...LIMITS, timeoutMs: 300 }), (error: unknown) => {
        assert.ok(error instanceof StarlingError);
        assert.deepEqual([error.code, error.facts.peer, error.facts.phase], ['PEER_TIMEOUT', answerer.peerId, 'sync/answer']);
        assert.ok(error.facts.fix);
        return true;
      });
      assert.deepEqual(await ask(new Uint8Array([2])), new Uint8Array([2]));
    });

    it('ends a request when its caller gives up', async () => {
      answerer.streams.handle('sync', () => never);
      const abort = new AbortController();
      const asked = asker.streams.request(answerer.peerId, 'sync', new Uint8Array(1), { ...LIMITS, signal: abort.signal });
      const reason = new Error('no longer wanted');
      abort.abort(reason);
      await assert.rejects(asked, reason);
    });

    it('refuses to send more than a frame holds', async () => {
      await assert.rejects(
        ask(new Uint8Array(FRAME_MAX_BYTES + 1)),
        (error: unknown) => error instanceof StarlingError && error.code === 'TOO_LARGE',
      );
    });

    it('holds an answer larger than asked for against the peer, and asks anew on a new stream', async () => {
      answerer.streams.handle('sync', async (_from, payload) => new Uint8Array(payload[0] as number));
      const limits = { ...LIMITS, maxResponseBytes: 100 };
      await assert.rejects(
        ask(new Uint8Array([101]), limits),
        (error: unknown) => error instanceof StarlingError && error.code === 'PROTOCOL_VIOLATION',
      );
      assert.equal((await ask(new Uint8Array([100]), limits)).length, 100);
      assert.equal(asker.journal.counts.get('network_violations'), 1);
    });

    it('delivers notifications in order and drops the oldest to a peer that does not read', async () => {
      const heard: number[] = [];
      let isStuck = true;
      answerer.streams.handle('roster', async (_from, payload) => {
        if (payload.length > 4) return isStuck ? never : undefined;
        heard.push(new DataView(payload.buffer).getUint32(0));
        return undefined;
      });
      const number = (i: number) => new Uint8Array([i >> 24, i >> 16, i >> 8, i]);
      for (let i = 0; i < 100; i++) asker.streams.notify(answerer.peerId, 'roster', number(i));
      await until('all hundred came', () => heard.length === 100);
      assert.deepEqual(heard, [...heard.keys()]);
      for (let i = 0; i < 60; i++) asker.streams.notify(answerer.peerId, 'roster', new Uint8Array(512 * 1024));
      await until('some were dropped', () => (asker.journal.counts.get('network_notifications_dropped') ?? 0) > 0);
      isStuck = false;
    });

    it('loses only the stream on which a peer breaks the protocol', async () => {
      answerer.streams.handle('sync', async (_from, payload) => payload);
      const hostile = await startRaw(transport);
      const connection = await hostile.node.dial(answererAddress());
      const broken = [
        new Uint8Array([0xff, 0xff, 0xff, 0xff]), // 4 GiB announced
        new Uint8Array([0, 0, 0, 5, 9, 0, 0, 0, 1]), // unknown kind
        new Uint8Array([0, 0, 0, 5, 1, 0, 0, 0, 1]), // an answer where a request is due
        new Uint8Array([0, 0, 0, 1, 0]), // too short for a header
      ];
      for (const bytes of broken) {
        const stream = await connection.newStream(streamProtocol(SWARM, 'sync'));
        stream.send(bytes);
        await until('the stream is closed', () => stream.status !== 'open' || stream.remoteWriteStatus === 'closed');
      }
      await until('all are counted', () => answerer.journal.counts.get('network_violations') === broken.length);
      assert.equal(connection.status, 'open');
      assert.deepEqual(await ask(new Uint8Array([3])), new Uint8Array([3]));
    });

    const answererAddress = () => {
      const raw = answerer.addresses()[0] as string;
      return multiaddr(raw);
    };

    it('does not read a greedy peer without bound: a hundred large answers nobody takes stay unmade', async () => {
      let made = 0;
      answerer.streams.handle('sync', async () => {
        made += 1;
        return new Uint8Array(FRAME_MAX_BYTES);
      });
      const hostile = await startRaw(transport);
      const connection = await hostile.node.dial(answererAddress());
      const stream = await connection.newStream(streamProtocol(SWARM, 'sync'));
      for (let id = 1; id <= 200; id++) stream.send(new Uint8Array([0, 0, 0, 6, 0, 0, 0, 0, id, 1]));
      stream.pause();
      await until('it began', () => made >= 8);
      await ask(new Uint8Array(1)); // a round trip of another peer, so that time has passed for the greedy one
      assert.ok(made < 60, `${made} answers of 1 MiB were made for a peer that reads none`);
    });

    it('sends no more than a slow peer can hold, and all of it in the end', async () => {
      let release = (): void => undefined;
      const gate = new Promise<void>((resolve) => {
        release = resolve;
      });
      answerer.streams.handle('sync', async () => {
        await gate;
        return new Uint8Array(1);
      });
      const asked = Array.from({ length: 24 }, () => ask(new Uint8Array(FRAME_MAX_BYTES), { ...LIMITS, timeoutMs: TIMEOUT_MS }));
      await until('some came', () => answerer.traffic().receivedBytes > 3 * FRAME_MAX_BYTES);
      await asker.streams.request(answerer.peerId, 'head', new Uint8Array(1), LIMITS).catch(() => undefined);
      const received = answerer.traffic().receivedBytes;
      assert.ok(received < 6 * FRAME_MAX_BYTES, `${received} bytes of requests were sent to a peer that answers none`);
      release();
      assert.equal((await Promise.all(asked)).length, asked.length);
    });

    it('holds a bounded part of what a greedy peer sends without waiting for answers, and serves others meanwhile', async () => {
      answerer.streams.handle('sync', async (from, payload) => (from === asker.peerId ? payload : never));
      const hostile = await startRaw(transport);
      const connection = await hostile.node.dial(answererAddress());
      const request = new Uint8Array(FRAME_MAX_BYTES);
      request.set([0, 0x0f, 0xff, 0xfc, 0, 0, 0, 0, 1]);
      for (let i = 0; i < 2; i++) {
        const stream = await connection.newStream(streamProtocol(SWARM, 'sync'));
        for (let k = 0; k < 40 && stream.status === 'open'; k++) stream.send(request);
      }
      await until('it was read for a while', () => answerer.traffic().receivedBytes > 10 * FRAME_MAX_BYTES);
      assert.deepEqual(await ask(new Uint8Array([4])), new Uint8Array([4]));
      const received = answerer.traffic().receivedBytes;
      assert.ok(received < 36 * FRAME_MAX_BYTES, `${received} bytes of 80 MiB were read`);
    });

    it('sends no faster than it was told to', async () => {
      const bytesPerMs = 5_000;
      const slow = await startHost(transport, { uploadKbit: 8 * bytesPerMs, bootstrap: answerer.addresses() });
      slow.streams.handle('sync', async () => new Uint8Array(FRAME_MAX_BYTES));
      await until('they met', () => answerer.streams.peers().includes(slow.peerId));
      const startMs = performance.now();
      for (let i = 0; i < 4; i++) await answerer.streams.request(slow.peerId, 'sync', new Uint8Array(1), LIMITS);
      // All but the last are paid for by then, less what an idle node saves up.
      assert.ok(performance.now() - startMs > (3 * FRAME_MAX_BYTES) / bytesPerMs - 200);
    });

    it('bounds how many streams one peer keeps open', async () => {
      const hostile = await startRaw(transport);
      const connection = await hostile.node.dial(answererAddress());
      for (const name of STREAM_PROTOCOLS)
        for (let i = 0; i < 4; i++) {
          const stream = await connection.newStream(streamProtocol(SWARM, name)).catch(() => undefined);
          if (stream?.writeStatus === 'writable') stream.send(new Uint8Array([0]));
        }
      await until('those beyond the bound are refused', () => (answerer.journal.counts.get('network_violations') ?? 0) > 0);
      assert.equal(connection.status, 'open');
    });

    it('fails at once, naming the peer, when the peer goes or is not there', async () => {
      answerer.streams.handle('sync', () => never);
      const asked = ask(new Uint8Array(1));
      const failed = assert.rejects(
        asked,
        (error: unknown) => error instanceof StarlingError && error.code === 'UNREACHABLE' && error.facts.peer === answerer.peerId,
      );
      await until('it is asked', () => answerer.traffic().receivedBytes > 0);
      await answerer.stop();
      await failed;
      const nobody = (await startHost(transport)).peerId;
      await assert.rejects(
        asker.streams.request(nobody, 'sync', new Uint8Array(1), LIMITS),
        (error: unknown) => error instanceof StarlingError && error.code === 'UNREACHABLE',
      );
    });

    it('ends what is outstanding when this node stops', async () => {
      answerer.streams.handle('sync', () => never);
      const asked = ask(new Uint8Array(1));
      const failed = assert.rejects(asked, (error: unknown) => error instanceof StarlingError && error.code === 'UNREACHABLE');
      await asker.stop();
      await failed;
    });

    it('counts the bytes of its streams', async () => {
      answerer.streams.handle('sync', async () => new Uint8Array(500_000));
      const before = { asker: asker.traffic(), answerer: answerer.traffic() };
      await ask(new Uint8Array(1_000));
      const received = asker.traffic().receivedBytes - before.asker.receivedBytes;
      const sent = answerer.traffic().sentBytes - before.answerer.sentBytes;
      assert.ok(received >= 500_000 && received < 520_000, `${received}`);
      assert.ok(sent >= 500_000 && sent < 520_000, `${sent}`);
    });
  });
