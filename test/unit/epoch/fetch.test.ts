import assert from 'node:assert/strict';
import { bytesOf } from '../../../src/aggregation/index.ts';
import { contentOf, fromHex, sealSegments } from '../../../src/crypto/index.ts';
import { fetchUpdate, serveKeys } from '../../../src/epoch/fetch.ts';
import { decodeKeysMessage, encodeKeysMessage, encodeUpdate, type UpdateKey } from '../../../src/wire/index.ts';
import { type TestNode, TestSwarm } from '../../support/epochWorld.ts';
import { hashOf } from '../ledger/entries.ts';

const code = (expected: string) => (e: unknown) => (e as { code?: string }).code === expected;
const push = (...keys: UpdateKey[]): Uint8Array => encodeKeysMessage({ kind: 'push', keys });

interface Given {
  readonly swarm: TestSwarm;
  readonly id: string;
  readonly author: TestNode;
  readonly reader: TestNode;
  readonly key: UpdateKey;
}

/** The entry of node 0's contribution is known to all, its values to nobody else. */
async function unheard(nodes = 3): Promise<Given> {
  const swarm = new TestSwarm({ nodes }).joined();
  const [author, reader] = [swarm.node(0), swarm.node(1)];
  const { contributionId: id } = await author.submit(Float32Array.from({ length: 8 }, (_, k) => k / 4));
  swarm.share();
  for (const node of swarm.nodes.slice(1)) node.ctx.updates.expect(node.ctx.replica.graph.contributionsOf(1)[0] ?? assert.fail('no entry'));
  return { swarm, id, author, reader, key: author.ctx.updates.key(id) ?? assert.fail('no key') };
}

const fetch = ({ reader, id }: Given, ...holders: TestNode[]): Promise<boolean> =>
  fetchUpdate(reader.ctx, id, { holders: holders.map((n) => n.peer) }, reader.ctx.chain.head.state.scaleExponents);
const asked = (node: TestNode): string[] =>
  node.asked.map(({ peer, protocol }) => `${node.swarm.nodes.findIndex((n) => n.peer === peer)} ${protocol}`);

describe('fetching an update', () => {
  it('takes key and bytes from the author, and then has them for others', async () => {
    const given = await unheard();
    assert.equal(await fetch(given, given.author), true);
    assert.deepEqual(given.reader.ctx.updates.row(given.id), given.author.ctx.updates.row(given.id));
    const third: Given = { ...given, reader: given.swarm.node(2) };
    given.author.handlers.clear();
    assert.equal(await fetch(third, given.author, given.reader), true);
    assert.deepEqual(third.reader.ctx.updates.row(given.id), given.author.ctx.updates.row(given.id));
  });

  it('asks for what it lacks, no more', async () => {
    const given = await unheard();
    given.reader.ctx.updates.offerKey(given.key);
    assert.equal(await fetch(given, given.author), true);
    assert.deepEqual(asked(given.reader), ['0 content', '0 content']);
  });

  it('goes on to the next holder when one is silent, has nothing or lies', async () => {
    const liars: ((given: Given) => void)[] = [
      ({ swarm }) => swarm.node(2).handlers.clear(),
      () => undefined,
      ({ swarm, key }) => swarm.node(2).handlers.set('keys', async () => push({ ...key, key: new Uint8Array(32) })),
      ({ swarm, key }) => swarm.node(2).handlers.set('keys', async () => push({ ...key, cipherRoot: hashOf('elsewhere') })),
      ({ swarm, key }) => swarm.node(2).handlers.set('keys', async () => push({ ...key, id: hashOf('another') })),
      ({ swarm, key }) => swarm.node(2).handlers.set('keys', async () => push({ ...key, cipherBytes: 500_000_000 })),
      ({ swarm }) => swarm.node(2).handlers.set('keys', async () => Buffer.from('ff', 'hex')),
      ({ swarm, key }) => {
        swarm.node(2).handlers.set('keys', async () => push(key));
        swarm.node(2).handlers.set('content', async () => new Uint8Array(40));
      },
    ];
    for (const [i, lie] of liars.entries()) {
      const given = await unheard();
      lie(given);
      assert.equal(await fetch(given, given.swarm.node(2)), false, `liar ${i} alone`);
      assert.equal(given.reader.ctx.updates.wanted(given.id), true);
      assert.equal(await fetch(given, given.swarm.node(2), given.author), true, `liar ${i}, then the author`);
    }
  });

  it('asks nobody for half a gigabyte', async () => {
    const given = await unheard();
    given.swarm.node(2).handlers.set('keys', async () => push({ ...given.key, cipherBytes: 500_000_000 }));
    await fetch(given, given.swarm.node(2));
    assert.deepEqual(asked(given.reader), ['2 keys']);
  });

  it('does not let a key that somebody pushed stand between it and the author', async () => {
    for (const lie of [{ key: new Uint8Array(32) }, { cipherRoot: hashOf('elsewhere') }, { cipherBytes: 500_000_000 }]) {
      const given = await unheard();
      serveKeys(given.reader.ctx, given.swarm.node(2).peer, push({ ...given.key, ...lie }));
      assert.equal(await fetch(given, given.author), true, JSON.stringify(lie));
    }
  });

  it('ends when the author itself broke a bound: no holder has a better one', async () => {
    const given = await unheard();
    const { reader, id, key, author } = given;
    const entry = author.ctx.replica.graph.get(id) ?? assert.fail('no entry');
    // The same hash cannot be had with other integers, so the bound is lowered instead: a tenth of what was sent.
    const strict = new TestSwarm({ nodes: 3, genesis: { clipNorm: 0.1 } });
    const updates = strict.node(1).ctx.updates;
    updates.expect(entry as never);
    const plaintext = encodeUpdate({
      salt: (await author.residual.get((entry.core.body as { updateHash: string }).updateHash))?.salt ?? new Uint8Array(),
      encoding: 'dense',
      dtype: 'int16',
      payload: bytesOf(author.ctx.updates.row(id) ?? new Int16Array()),
    });
    const sealed = sealSegments(key.key, fromHex(id), plaintext);
    assert.equal(contentOf(sealed).root, key.cipherRoot);
    const ctx = { ...reader.ctx, updates };
    assert.equal(await fetchUpdate(ctx, id, { holders: [author.peer, given.swarm.node(2).peer] }, [-12, -12]), false);
    assert.ok(code('BOUNDS_EXCEEDED')(updates.refusal(id)));
    assert.deepEqual(
      asked(reader).filter((a) => a === '2 keys'),
      [],
    );
  });
});

describe('serving keys', () => {
  it('answers members alone', async () => {
    const given = await unheard();
    const request = encodeKeysMessage({ kind: 'request', ids: [given.id, hashOf('unknown')] });
    assert.throws(() => serveKeys(given.author.ctx, 'a stranger', request), code('NOT_MEMBER'));
    assert.throws(() => serveKeys(given.author.ctx, 'a stranger', push(given.key)), code('NOT_MEMBER'));
    const { reply, pushed } = serveKeys(given.author.ctx, given.reader.peer, request);
    assert.deepEqual(decodeKeysMessage(reply ?? new Uint8Array()), { kind: 'push', keys: [given.key] });
    assert.deepEqual(pushed, []);
  });

  it('keeps a push and answers nothing, and does not pass on what has opened nothing yet', async () => {
    const given = await unheard();
    const { reader, author, key, id } = given;
    const wrong = { ...key, key: new Uint8Array(32) };
    assert.deepEqual(serveKeys(reader.ctx, author.peer, push(wrong)), { pushed: [id] });
    assert.deepEqual(reader.ctx.updates.key(id), wrong);
    const request = encodeKeysMessage({ kind: 'request', ids: [id] });
    const keysOf = (): unknown[] => {
      const message = decodeKeysMessage(serveKeys(reader.ctx, given.swarm.node(2).peer, request).reply ?? new Uint8Array());
      return message.kind === 'push' ? [...message.keys] : [];
    };
    assert.deepEqual(keysOf(), []);
    await fetch(given, author);
    assert.deepEqual(keysOf(), [key]);
  });
});
