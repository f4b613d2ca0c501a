import assert from 'node:assert/strict';
import { fetchBlocks, serveBlocks, tryFetchBlocks } from '../../../src/epoch/blockSync.ts';
import type { StarlingError } from '../../../src/spec/index.ts';
import {
  type BlockItem,
  type BlockRecord,
  blockHash,
  decodeBlocksAnswer,
  decodeBlocksRequest,
  encodeBlocksAnswer,
  encodeBlocksRequest,
} from '../../../src/wire/index.ts';
import type { TestNode } from '../../support/epochWorld.ts';
import { certify, committee, finalise, grow } from '../../support/finalSteps.ts';

const EPOCHS = 5;

/** Three nodes over five blocks, and a fourth that has seen none; every node serves its blocks. */
async function setting() {
  const swarm = committee(4);
  const up = swarm.nodes.slice(0, 3);
  const records: BlockRecord[] = [];
  for (let e = 0; e < EPOCHS; e++) records.push(await finalise(swarm, [], up));
  const [donor, late] = [swarm.node(0), swarm.node(3)] as [TestNode, TestNode];
  for (const node of swarm.nodes) node.handlers.set('blocks', async (_from, payload) => serveBlocks(node.ctx, payload));
  swarm.share();
  return { swarm, records, donor, late };
}

type Answer = (
  from: number,
  limit: number,
  asked: number,
) => { readonly head: number; readonly records: readonly BlockItem[] } | Uint8Array;

/** `node` answers questions for blocks like this from now on. Returns how often it was asked. */
function lies(node: TestNode, answer: Answer): () => number {
  let asked = 0;
  node.handlers.set('blocks', async (_from, payload) => {
    const { from, limit } = decodeBlocksRequest(payload);
    const said = answer(from, limit, asked++);
    return said instanceof Uint8Array ? said : encodeBlocksAnswer({ base: 0, ...said });
  });
  return () => asked;
}

const itemsOf = (records: readonly BlockRecord[]): BlockItem[] => records.map((record) => ({ record, header: null }));
const finalOf = ({ ctx }: TestNode): number => ctx.chain.finalized.state.epoch;
const violates = (e: StarlingError): boolean => e.code === 'PROTOCOL_VIOLATION' && e.facts.peer !== undefined;

describe('blocks from a peer', () => {
  it('bring a node that missed them to the same block', async () => {
    const { donor, late } = await setting();
    assert.equal(await fetchBlocks(late.ctx, donor.peer), EPOCHS);
    await late.apply();
    assert.equal(late.ctx.chain.finalized.stateRoot, donor.ctx.chain.finalized.stateRoot);
    assert.equal(late.blocks.head(), EPOCHS);
    assert.equal(await fetchBlocks(late.ctx, donor.peer), 0, 'and no more');
  });

  it('bring the headers of what was averaged', async () => {
    const swarm = committee(3);
    await grow(swarm, 2);
    const { head, records } = decodeBlocksAnswer(serveBlocks(swarm.node(0).ctx, encodeBlocksRequest({ from: 1, limit: 10 })));
    assert.deepEqual([head, records.map((r) => r.header?.epoch)], [2, [1, 2]]);
  });

  it('are served from where it was asked, as many as were asked for, none beyond the newest', async () => {
    const { donor } = await setting();
    const served = (from: number, limit: number) =>
      decodeBlocksAnswer(serveBlocks(donor.ctx, encodeBlocksRequest({ from, limit }))).records.map((r) => r.record.block.header.epoch);
    assert.deepEqual([served(1, 3), served(4, 10), served(EPOCHS + 1, 10)], [[1, 2, 3], [4, 5], []]);
    for (const junk of [new Uint8Array(), Uint8Array.of(0x82, 0, 1), new Uint8Array(100)])
      assert.throws(() => serveBlocks(donor.ctx, junk), { code: /MALFORMED|TOO_LARGE|NON_CANONICAL/ });
  });

  it('that were not asked for end the exchange, and name the peer', async () => {
    const { swarm, records, donor, late } = await setting();
    const [first, second] = records as [BlockRecord, BlockRecord];
    for (const wrong of [[second], [{ ...first, block: otherSwarm(first.block) }]]) {
      lies(donor, () => ({
        head: EPOCHS,
        records: itemsOf(wrong.map(({ block }) => ({ block, certificate: certify(block, swarm.nodes) }))),
      }));
      await assert.rejects(fetchBlocks(late.ctx, donor.peer), violates);
      assert.equal(await tryFetchBlocks(late.ctx, donor.peer), false);
      await late.apply();
      assert.equal(finalOf(late), 0);
    }
  });

  it('that cannot be read end it as well, whatever they are', async () => {
    const { donor, late } = await setting();
    const good = serveBlocks(donor.ctx, encodeBlocksRequest({ from: 1, limit: 10 }));
    for (const junk of [new Uint8Array(), new Uint8Array(64).fill(0xff), good.subarray(0, good.length - 1)]) {
      lies(donor, () => junk);
      await assert.rejects(fetchBlocks(late.ctx, donor.peer), { code: /MALFORMED|NON_CANONICAL/ });
      assert.equal(await tryFetchBlocks(late.ctx, donor.peer), false);
    }
  });

  it('that nobody voted for are dropped one by one, and true ones taken from the next', async () => {
    const { swarm, records, donor, late } = await setting();
    const forged = records.map(({ block }) => {
      const header = { ...block.header, timeMs: block.header.timeMs + 1 };
      const other = { ...block, header, hash: blockHash(header) };
      return { block: other, certificate: certify(other, swarm.nodes.slice(0, 2)) };
    });
    lies(donor, (from) => ({ head: EPOCHS, records: itemsOf(forged.slice(from - 1)) }));
    const honest = swarm.node(1);
    for (let n = 0; n < EPOCHS + 1; n++) {
      await fetchBlocks(late.ctx, donor.peer);
      await late.apply();
      await fetchBlocks(late.ctx, honest.peer);
      await late.apply();
    }
    assert.equal(late.ctx.chain.finalized.id, honest.ctx.chain.finalized.id);
  });

  it('that never end do', async () => {
    const { records, donor, late } = await setting();
    const [first] = records as [BlockRecord];
    // One at a time, and there is always more: each is asked for once.
    const asked = lies(donor, (from, _limit, n) => ({ head: 10 ** 9, records: n < 10_000 ? itemsOf([at(first, from)]) : [] }));
    const came = await fetchBlocks(late.ctx, donor.peer);
    assert.ok(asked() <= 400 && came <= 400, `${asked()} questions, ${came} blocks`);
    // A head far away and nothing to show for it.
    const empty = lies(donor, () => ({ head: 10 ** 9, records: [] }));
    assert.deepEqual([await fetchBlocks(late.ctx, donor.peer), empty()], [0, 1]);
  });

  it('that came too far ahead are not kept', async () => {
    const { records, late } = await setting();
    const [first] = records as [BlockRecord];
    const { finals } = late.ctx;
    for (const epoch of [0, 1_024, 1_025, 10 ** 6]) finals.add({ record: at(first, epoch), header: null }, 0);
    assert.deepEqual(
      [0, 1_024, 1_025, 10 ** 6].map((epoch) => finals.has(epoch)),
      [false, true, false, false],
    );
  });
});

function at({ block, certificate }: BlockRecord, epoch: number): BlockRecord {
  const header = { ...block.header, epoch };
  const hash = blockHash(header);
  return { block: { ...block, header, hash }, certificate: { ...certificate, epoch, block: hash } };
}

function otherSwarm(block: BlockRecord['block']): BlockRecord['block'] {
  const header = { ...block.header, swarm: 'ab'.repeat(32) };
  return { ...block, header, hash: blockHash(header) };
}
