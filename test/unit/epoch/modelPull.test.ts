import assert from 'node:assert/strict';
import { bytesOf } from '../../../src/aggregation/index.ts';
import { contentOf } from '../../../src/crypto/index.ts';
import type { EpochContext } from '../../../src/epoch/context.ts';
import { ensureModel } from '../../../src/epoch/modelPull.ts';
import { Models } from '../../../src/epoch/models.ts';
import { Pulls } from '../../../src/epoch/pulls.ts';
import { serveContent } from '../../../src/epoch/served.ts';
import { type Model, wholeOf } from '../../../src/epoch/storedModel.ts';
import { MemoryBlobStore } from '../../../src/simulation/stores.ts';
import { CHUNK_BYTES, type PeerId, StarlingError } from '../../../src/spec/index.ts';

/** Three and a half chunks. */
const PARAMETERS = (3.5 * CHUNK_BYTES) / 4;
/** The model of an epoch: each sum adds one to every parameter. */
const modelOf = (epoch: number): Float32Array => new Float32Array(PARAMETERS).fill(epoch);
const rootOf = (epoch: number): string => contentOf(bytesOf(modelOf(epoch))).root;

interface Setting {
  readonly head: number;
  /** Epochs whose sums are on this node's disk. */
  readonly sums?: readonly number[];
  /** Donors by peer: the epochs whose models they have. */
  readonly donors: Record<PeerId, readonly number[]>;
  readonly lies?: readonly PeerId[];
  readonly beats?: Record<PeerId, number>;
  readonly diverging?: readonly PeerId[];
  readonly strangers?: readonly PeerId[];
}

/** A node whose blocks are applied up to `head`, and who has the model of epoch 0. */
async function nodeOf({ head, sums = [], donors, lies = [], beats = {}, diverging = [], strangers = [] }: Setting) {
  const blobs = new MemoryBlobStore();
  const models = new Models(blobs, rootOf(0), modelOf(0));
  const line = {
    isOf: () => true,
    rootOf,
    from: (epoch: number) => ({ epoch: epoch - 1, bySum: true }),
    next: async (theta: Model, epoch: number) => (sums.includes(epoch) ? (await wholeOf(theta)).map((v) => v + 1) : undefined),
  };
  const served = new Map<PeerId, MemoryBlobStore>();
  for (const [peer, epochs] of Object.entries(donors)) {
    const store = new MemoryBlobStore();
    for (const epoch of epochs) await store.put(bytesOf(modelOf(epoch)));
    served.set(peer, store);
  }
  const asked: PeerId[] = [];
  const logged: { readonly message: string; readonly facts: Record<string, unknown> }[] = [];
  const ctx = {
    spans: [{ start: 0, end: PARAMETERS }],
    chain: {
      head: { state: { epoch: head, modelRoot: rootOf(head) } },
      models,
      model: (epoch: number) => models.at(epoch, line),
      openModel: (epoch: number) => models.at(epoch, line),
      modelRootAt: rootOf,
      at: (epoch: number) => ({ state: { modelRoot: rootOf(epoch) } }),
    },
    directory: { nodeOf: (peer: PeerId) => (strangers.includes(peer) ? undefined : `node ${peer}`) },
    diverging: new Map(diverging.map((peer) => [`node ${peer}`, {}])),
    reach: { of: (node: string) => ({ epoch: beats[node.slice(5)] ?? head }) },
    pulls: new Pulls({ nowMs: () => 0 }),
    ports: {
      blobs,
      clock: { nowMs: () => 0 },
      entropy: { uniform: () => 0.5 },
      journal: {
        log: (_level: string, _room: string, message: string, facts: Record<string, unknown>) => void logged.push({ message, facts }),
      },
      streams: {
        peers: () => Object.keys(donors),
        request: async (peer: PeerId, _protocol: string, payload: Uint8Array) => {
          asked.push(peer);
          const answer = await serveContent(served.get(peer) as MemoryBlobStore)('us', payload);
          return lies.includes(peer) && answer.byteLength > 1_000 ? answer.map((b) => b ^ 1) : answer;
        },
      },
    },
  } as unknown as EpochContext;
  return { ctx, asked, logged, blobs };
}

describe('the newest model', () => {
  it('is made from the sums that are held, with nobody asked, however many epochs lie between', async () => {
    const { ctx, asked } = await nodeOf({ head: 3, sums: [1, 2, 3], donors: { a: [3] } });
    assert.equal(await ensureModel(ctx), true);
    assert.deepEqual(await ctx.chain.model(3), modelOf(3));
    assert.deepEqual(asked, []);
  });

  it('is pulled where a sum is missing: that has as many bytes', async () => {
    const { ctx, asked, blobs } = await nodeOf({ head: 3, sums: [1, 3], donors: { a: [3], b: [3] } });
    assert.equal(await ensureModel(ctx), true);
    assert.deepEqual(await ctx.chain.model(3), modelOf(3));
    assert.ok(await blobs.has(rootOf(3)));
    assert.deepEqual([...new Set(asked)].sort(), ['a', 'b']);
  });

  it('is the start of the next ones: after a pull, the sums that follow are enough', async () => {
    const { ctx, asked } = await nodeOf({ head: 3, sums: [4, 5], donors: { a: [3] } });
    await ensureModel(ctx);
    const requests = asked.length;
    Object.assign(ctx.chain, { head: { state: { epoch: 5, modelRoot: rootOf(5) } } });
    assert.equal(await ensureModel(ctx), true);
    assert.deepEqual(await ctx.chain.model(5), modelOf(5));
    assert.equal(asked.length, requests);
  });

  it('comes from honest donors though one lies and one lacks it, and both are named', async () => {
    const { ctx, logged } = await nodeOf({ head: 2, donors: { liar: [2], late: [1], good: [2] }, lies: ['liar'] });
    assert.equal(await ensureModel(ctx), true);
    assert.deepEqual(await ctx.chain.model(2), modelOf(2));
    const left = logged.filter(({ message }) => message === 'a donor of the model was left');
    assert.deepEqual(left.map(({ facts }) => [facts.peer, facts.code]).sort(), [
      ['late', 'NOT_FOUND'],
      ['liar', 'HASH_MISMATCH'],
    ]);
  });

  it('is asked of members that stand where this node does: first of those that have applied its epoch, of no other', async () => {
    const behind = Object.fromEntries(['p', 'q', 'r', 's', 't'].map((peer) => [peer, 1]));
    const donors = { ...Object.fromEntries(Object.keys(behind).map((peer) => [peer, [2]])), diverged: [2], stranger: [2], good: [2] };
    const { ctx, asked } = await nodeOf({ head: 2, donors, beats: behind, diverging: ['diverged'], strangers: ['stranger'] });
    assert.equal(await ensureModel(ctx), true);
    assert.equal(asked[0], 'good');
    assert.ok(!asked.includes('diverged') && !asked.includes('stranger'));
  });

  it('is not here where nobody gives it, and that is said; other failures are no matter of donors', async () => {
    const { ctx, logged } = await nodeOf({ head: 2, donors: { a: [1] } });
    assert.equal(await ensureModel(ctx), false);
    assert.equal(logged.at(-1)?.facts.code, 'NOT_FOUND');
    const broken = await nodeOf({ head: 2, donors: { a: [2] } });
    Object.assign(broken.ctx.chain, { openModel: () => Promise.reject(new StarlingError('DATA_CORRUPT', 'rotten')) });
    await assert.rejects(ensureModel(broken.ctx), (error: unknown) => error instanceof StarlingError && error.code === 'DATA_CORRUPT');
  });
});
