import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { sis } from '../../../src/crypto/index.ts';
import { Collector } from '../../../src/epoch/collector.ts';
import { commitmentContext, commitmentSeed } from '../../../src/epoch/commitment.ts';
import type { EntryOf } from '../../../src/ledger/index.ts';
import type { Fingerprint } from '../../../src/spec/index.ts';
import { decodeEntry, ledgerTopic } from '../../../src/wire/index.ts';
import { type TestNode, TestSwarm } from '../../support/epochWorld.ts';
import { cbor } from '../wire/samples.ts';

const values = (n: number): Float32Array => Float32Array.from({ length: 8 }, (_, k) => (k - n) / 64);
const ringOf = (nodes: number): TestSwarm => new TestSwarm({ nodes, genesis: { schedule: 'ring' } }).joined();

/** The newest contribution on a node's chain. */
const contributionOf = (node: TestNode): EntryOf<'contribution'> => node.ctx.replica.tip as EntryOf<'contribution'>;

function heldBy(node: TestNode): { readonly collector: Collector; readonly held: Fingerprint[] } {
  const held: Fingerprint[] = [];
  const collector = new Collector(node.ctx, { seen: () => undefined, held: (e) => held.push(e.core.author), holders: () => [] });
  return { collector, held };
}

describe('a contribution to a scheduled epoch', () => {
  it('names the hash of a commitment to its values under a secret that stays here', async () => {
    const swarm = ringOf(2);
    const node = swarm.node(0);
    await node.submit(values(1));
    const { body, author } = contributionOf(node).core;
    const own = (await node.residual.get(body.updateHash)) ?? assert.fail('not kept');
    assert.equal(own.secret?.byteLength, 32);
    const commitment = sis.commit(commitmentSeed(swarm.id), own.integers, sis.expandRho(own.secret ?? new Uint8Array()));
    const seed = createHash('sha256').update('starling/sis/seed/1\0').update(Buffer.from(swarm.id, 'hex')).digest();
    assert.deepEqual(Buffer.from(commitmentSeed(swarm.id)), seed);
    const context = cbor([Buffer.from(swarm.id, 'hex'), 1, Buffer.from(author, 'hex')]);
    assert.deepEqual(Buffer.from(commitmentContext(swarm.id, 1, author)), context);
    const hash = createHash('sha256').update('starling/sis/commitment/1\0').update(context).update(sis.encodeCommitment(commitment));
    assert.equal(body.commitment, hash.digest('hex'));
  });

  it('goes out as its entry alone, and is held by whoever has that', async () => {
    const swarm = ringOf(2);
    const [author, other] = [swarm.node(0), swarm.node(1)];
    const { contributionId } = await author.submit(values(1));
    assert.deepEqual(
      author.published.map(({ topic }) => topic),
      [ledgerTopic(swarm.id)],
    );
    assert.equal(author.notified.length, 0, 'no key goes out');
    assert.equal(decodeEntry((author.published[0] as { data: Uint8Array }).data).id, contributionId);
    const { collector, held } = heldBy(other);
    swarm.deliver(author);
    const entry = other.ctx.replica.graph.get(contributionId) as EntryOf<'contribution'>;
    assert.equal(collector.accepted(entry), true);
    assert.deepEqual(held, [author.identity.fingerprint]);
    assert.equal(other.ctx.updates.row(contributionId), undefined);
  });

  it('is announced again after a restart, with the commitment that it has', async () => {
    const node = ringOf(2).node(0);
    const { contributionId } = await node.submit(values(1));
    node.published.length = 0;
    node.restart();
    const { collector, held } = heldBy(node);
    await collector.begin(node.residual);
    assert.deepEqual(held, [node.identity.fingerprint]);
    assert.equal(decodeEntry((node.published[0] as { data: Uint8Array }).data).id, contributionId);
  });

  it('is not rostered without a commitment, and in no other epoch with one', async () => {
    const scheduled = ringOf(2).node(0);
    const seen = new TestSwarm({ nodes: 2 }).joined().node(0);
    await scheduled.submit(values(1));
    await seen.submit(values(1));
    assert.notEqual(contributionOf(scheduled).core.body.commitment, null);
    assert.equal(contributionOf(seen).core.body.commitment, null);
  });
});
