import assert from 'node:assert/strict';
import { CHUNK_BYTES } from '../../../src/spec/index.ts';
import { type Puller, PullWorld } from '../../support/pullWorld.ts';

/** Bytes a ms: 100 Mbit/s, and a tenth of it. */
const FAST = 12_500;
const SLOW = 1_250;

const contentOf = (chunks: number): Uint8Array => new Uint8Array(chunks * CHUNK_BYTES - 100).map((_, i) => ((i * 7) >> 3) ^ (i >> 18));

/** One that pulls from so many others, which have everything. */
function worldOf(holders: number, chunks: number, seed: number): { world: PullWorld; holders: Puller[]; puller: Puller } {
  const world = new PullWorld(holders + 1, contentOf(chunks), seed);
  const puller = world.nodes.at(-1) as Puller;
  const others = world.nodes.slice(0, -1);
  for (const holder of others) holder.content = world.content;
  return { world, holders: others, puller };
}

/** Pulls all of it once more: what each holder was asked for. */
async function again({ world, holders, puller }: ReturnType<typeof worldOf>): Promise<{ asked: number[] }> {
  puller.content = undefined;
  for (const holder of holders) holder.asked = 0;
  assert.ok(await world.until([world.pull(puller)]));
  assert.ok(Buffer.from(puller.content ?? []).equals(world.content));
  return { asked: holders.map(({ asked }) => asked) };
}

const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);
const rate = (holders: readonly Puller[], bytesPerMs: number): void => {
  for (const holder of holders) holder.bytesPerMs = bytesPerMs;
};

describe('whom chunks are pulled from', () => {
  it('is the fast ones of three, the slow one now and then', async () => {
    const all = worldOf(3, 60, 1);
    rate(all.holders.slice(0, 1), SLOW);
    for (let pull = 0; pull < 3; pull++) {
      const { asked } = await again(all);
      assert.ok(
        asked.every((chunks) => chunks > 0),
        `${asked}`,
      );
      assert.ok((asked[0] as number) < sum(asked) / 8, `${asked}`);
    }
  });

  it('is the fast ones of eight, although the first four are slow, and every other is still tried', async () => {
    const all = worldOf(8, 60, 2);
    rate(all.holders, SLOW);
    const fast = [5, 6, 7];
    rate(
      fast.map((i) => all.holders[i] as Puller),
      FAST,
    );
    const tried = all.holders.map(() => 0);
    for (let pull = 0; pull < 6; pull++) {
      const { asked } = await again(all);
      for (const [i, chunks] of asked.entries()) tried[i] = (tried[i] as number) + chunks;
      const share = sum(fast.map((i) => asked[i] as number)) / sum(asked);
      assert.ok(share > (pull === 0 ? 0.6 : 0.75), `pull ${pull}: ${asked}`);
    }
    assert.ok(Math.min(...tried) >= 3, `${tried}`);
  });

  it('changes when those that were fast turn slow', async () => {
    const all = worldOf(8, 80, 3);
    const [first, second] = [all.holders.slice(0, 4), all.holders.slice(4)];
    rate(second, SLOW);
    for (let pull = 0; pull < 3; pull++) await again(all);
    rate(first, SLOW);
    rate(second, FAST);
    const shares: number[] = [];
    for (let pull = 0; pull < 4; pull++) {
      const { asked } = await again(all);
      shares.push(sum(asked.slice(4)) / sum(asked));
    }
    assert.ok((shares.at(-1) as number) > 0.8, `${shares}`);
  });
});
