import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Uplink } from '../../../src/network/uplink.ts';
import { VirtualClock } from '../../../src/simulation/clock.ts';

/** 8 Mbit/s: a thousand bytes a ms. */
const KBIT = 8_000;
const BYTES_PER_MS = 1_000;
/** What an idle node may send at once. */
const BURST_BYTES = 200 * BYTES_PER_MS;

/** Sends frames of `sizes` one after another, as the writer of one stream does. */
async function stream(uplink: Uplink, sizes: readonly number[], onSent: (bytes: number) => void): Promise<void> {
  for (const bytes of sizes)
    await uplink.turn(() => {
      uplink.spent(bytes);
      onSent(bytes);
    });
}

describe('a bounded uplink', () => {
  it('keeps its rate over all streams, whatever they send: never more than the burst and one frame above it, and all of it', async () => {
    const streams = fc.array(fc.array(fc.integer({ min: 1, max: 300_000 }), { minLength: 1, maxLength: 12 }), {
      minLength: 1,
      maxLength: 5,
    });
    await fc.assert(
      fc.asyncProperty(streams, async (all) => {
        const clock = new VirtualClock();
        const uplink = new Uplink(KBIT, clock);
        const largest = Math.max(...all.flat());
        const total = all.flat().reduce((a, b) => a + b, 0);
        let sent = 0;
        const done = all.map((sizes) =>
          stream(uplink, sizes, (bytes) => {
            sent += bytes;
            assert.ok(sent <= BURST_BYTES + largest + clock.nowMs() * BYTES_PER_MS, `${sent} bytes at ${clock.nowMs()} ms`);
          }),
        );
        await clock.runUntil(() => sent === total, 600_000);
        await Promise.all(done);
        assert.ok(clock.nowMs() <= Math.max(0, total - BURST_BYTES) / BYTES_PER_MS + 50, `${total} bytes took ${clock.nowMs()} ms`);
      }),
      { numRuns: 50 },
    );
  });

  it('serves streams in turn: a bulk one does not hold up another', async () => {
    const clock = new VirtualClock();
    const uplink = new Uplink(KBIT, clock);
    const order: string[] = [];
    void stream(uplink, Array<number>(20).fill(250_000), () => order.push('bulk'));
    void stream(uplink, [10, 10, 10], () => order.push('small'));
    await clock.runUntil(() => false, 2_000);
    assert.ok(order.lastIndexOf('small') < 7, order.join(' '));
  });

  it('makes bulk pay for what others sent without asking', async () => {
    const clock = new VirtualClock();
    const uplink = new Uplink(KBIT, clock);
    uplink.spent(BURST_BYTES + 1_000 * BYTES_PER_MS);
    let atMs = Number.NaN;
    void uplink.turn(() => {
      atMs = clock.nowMs();
    });
    await clock.runUntil(() => false, 5_000);
    assert.equal(Math.round(atMs), 1_000);
  });

  it('goes on after a send that failed', async () => {
    const clock = new VirtualClock();
    const uplink = new Uplink(KBIT, clock);
    await assert.rejects(
      uplink.turn(() => {
        throw new Error('the stream closed');
      }),
    );
    assert.equal(await uplink.turn(() => 7), 7);
  });
});
