import assert from 'node:assert/strict';
import { chunkRange, type Transfer } from '../../../../src/aggregation/schedule/index.ts';
import { sha256, toHex } from '../../../../src/crypto/index.ts';
import { layoutOf } from '../../../../src/epoch/exchange/plans.ts';
import { culpritOf, encodeWrong, type WrongChunk } from '../../../../src/epoch/exchange/proof.ts';
import { attemptId, chunkBytes } from '../../../../src/wire/index.ts';
import { AverageSwarm } from '../../../support/averageSwarm.ts';

/** What a sender signs in the attempt of `swarm`, in the first chunk of the first transfer to the member with rank 0. */
async function shown() {
  const swarm = new AverageSwarm({ nodes: 4, schedule: 'ring' });
  swarm.begin();
  assert.ok(await swarm.run(swarm.nodes));
  const attempt = swarm.node(0).averaged?.attempt ?? assert.fail('no sum');
  const { genesis, elements } = swarm;
  const authorOf = (id: string) => swarm.nodes.find((node) => node.id === id)?.node;
  const weights = attempt.roster.map(() => 1);
  const layout = layoutOf({ genesis, elements, attempt, weights, cost: undefined, authorOf });
  const lane = 1;
  const [transfer] = (layout.lanes[lane]?.planOf(0).receives ?? []) as [Transfer];
  const { start, end } = chunkRange(transfer, 0);
  const [to, from] = [layout.order[0] as string, layout.order[transfer.from] as string];
  const identityOf = (node: string) => swarm.byNode.get(node)?.identity ?? assert.fail('nobody');
  const id = attemptId(attempt);
  const sign = (bytes: Uint8Array, { signer = from, over = id, chunk = 0 } = {}): WrongChunk => {
    const signed = chunkBytes({ attempt: over, lane, step: transfer.step, from, to, chunk, hash: toHex(sha256(bytes)) });
    return { lane, step: transfer.step, from: transfer.from, chunk, bytes, signature: identityOf(signer).signEd25519(signed) };
  };
  const world = { keyOf: (node: string) => swarm.byNode.get(node)?.identity.ed25519PublicKey };
  const culprit = (wrong: WrongChunk | Uint8Array, by = to) =>
    culpritOf(world, id, layout, by, wrong instanceof Uint8Array ? wrong : encodeWrong(wrong));
  return { culprit, sign, from, to, honest: new Uint8Array((end - start) * transfer.encoding.width), last: layout.order.at(-1) as string };
}

describe('a chunk that is shown as wrong', () => {
  it('speaks against its sender where it is of another size, or has an integer that cannot be', async () => {
    const { culprit, sign, from, honest } = await shown();
    assert.equal(culprit(sign(honest.subarray(1))), from);
    assert.equal(culprit(sign(new Uint8Array(honest.byteLength + 1))), from);
    assert.equal(culprit(sign(honest.map((_, i) => (i % 2 === 0 ? 0 : 0x80)))), from);
  });

  it('speaks against nobody where it may be right', async () => {
    const { culprit, sign, honest } = await shown();
    assert.equal(culprit(sign(honest)), undefined);
    assert.equal(culprit(sign(honest.map((_, i) => (i % 2 === 0 ? 1 : 0)))), undefined);
  });

  it('speaks against nobody who has not signed it, for this place, in this attempt', async () => {
    const { culprit, sign, to, last, honest } = await shown();
    const bad = honest.subarray(1);
    assert.equal(culprit(sign(bad, { signer: to })), undefined);
    assert.equal(culprit(sign(bad, { over: 'a'.repeat(64) })), undefined);
    assert.equal(culprit({ ...sign(bad), bytes: honest.subarray(2) }), undefined);
    assert.equal(culprit(sign(bad), last), undefined, 'it was sent to another');
  });

  it('speaks against nobody where nothing is sent, or where it cannot be read', async () => {
    const { culprit, sign, honest } = await shown();
    const bad = honest.subarray(1);
    assert.equal(culprit(sign(bad, { chunk: 2 ** 20 })), undefined);
    for (const elsewhere of [{ lane: 2 }, { step: 1_000 }, { from: 0 }]) assert.equal(culprit({ ...sign(bad), ...elsewhere }), undefined);
    assert.equal(culprit(Uint8Array.of(1, 2, 3)), undefined);
    assert.equal(culprit(new Uint8Array(0)), undefined);
  });
});
