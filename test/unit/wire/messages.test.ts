import assert from 'node:assert/strict';
import fc from 'fast-check';
import { contentOf } from '../../../src/crypto/index.ts';
import { CHUNK_BYTES, StarlingError } from '../../../src/spec/index.ts';
import {
  decode,
  decodeContentIndex,
  decodeContentRequest,
  decodeHeldChunks,
  decodeKeysMessage,
  decodeMetaUpdate,
  encode,
  encodeContentIndex,
  encodeContentRequest,
  encodeEntry,
  encodeHeldChunks,
  encodeKeysMessage,
  encodeMetaUpdate,
  type KeysMessage,
  type UpdateKey,
} from '../../../src/wire/index.ts';
import { contributionCore, decisionCore, id, signedEntry } from './samples.ts';

const update = { entry: signedEntry(contributionCore), cipherRoot: id(0x70), cipherBytes: 5, inline: Uint8Array.of(1, 2, 3, 4, 5) };

describe('update manifests', () => {
  it('decode to what was encoded, with the update inside or not', () => {
    assert.deepEqual(decodeMetaUpdate(encodeMetaUpdate(update)), update);
    const pulled = { ...update, cipherBytes: 10_000_000, inline: null };
    assert.deepEqual(decodeMetaUpdate(encodeMetaUpdate(pulled)), pulled);
  });

  it('have the five fields of PROTOCOL section 4', () => {
    const wire = decode(encodeMetaUpdate(update), 'update', 65_536) as Record<string, unknown>;
    assert.deepEqual(Object.keys(wire).sort(), ['federated_epoch', 'ledger_block_id', 'node_fingerprint', 'payload', 'update_hash']);
    assert.equal(wire.federated_epoch, 7);
    assert.deepEqual(Buffer.from(wire.update_hash as Uint8Array), Buffer.alloc(32, 0x40));
    assert.equal(Buffer.from(wire.ledger_block_id as Uint8Array).toString('hex'), update.entry.id);
  });

  it('are refused when they say other than their entry', () => {
    const wire = decode(encodeMetaUpdate(update), 'update', 65_536) as Record<string, unknown>;
    for (const [key, lie] of Object.entries({
      federated_epoch: 8,
      node_fingerprint: Buffer.alloc(32),
      update_hash: Buffer.alloc(32),
      ledger_block_id: Buffer.alloc(32),
    }))
      assert.throws(
        () => decodeMetaUpdate(encode({ ...wire, [key]: lie })),
        (e) => e instanceof StarlingError && e.code === 'HASH_MISMATCH' && e.facts.field === `update.${key}`,
      );
  });

  it('speak of contributions only', () => {
    const entry = signedEntry(decisionCore);
    assert.throws(() => encodeMetaUpdate({ ...update, entry }), { code: 'MALFORMED' });
    const wire = decode(encodeMetaUpdate(update), 'update', 65_536) as Record<string, unknown>;
    const payload = decode(wire.payload as Uint8Array, 'payload', 65_536) as Record<string, unknown>;
    assert.throws(() => decodeMetaUpdate(encode({ ...wire, payload: encode({ ...payload, entry: encodeEntry(entry) }) })), {
      code: 'MALFORMED',
    });
  });

  it('are refused when the inline bytes are not as many as stated, or the message is too large', () => {
    assert.throws(() => decodeMetaUpdate(encodeMetaUpdate({ ...update, cipherBytes: 6 })), { code: 'MALFORMED' });
    const inline = new Uint8Array(48 * 1024 + 1);
    assert.throws(() => decodeMetaUpdate(encodeMetaUpdate({ ...update, inline, cipherBytes: inline.length })), { code: 'MALFORMED' });
    assert.throws(() => decodeMetaUpdate(new Uint8Array(10 * 1024 * 1024)), { code: 'TOO_LARGE' });
  });

  it('give a typed error for any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        for (const read of [decodeMetaUpdate, decodeContentRequest, decodeKeysMessage]) {
          try {
            read(bytes);
          } catch (e) {
            assert.ok(e instanceof StarlingError, String(e));
          }
        }
      }),
    );
  });
});

describe('content protocol', () => {
  it('asks for a chunk, for the leaves, or for what is held', () => {
    for (const index of ['leaves', 'held', 0, 4095] as const)
      assert.deepEqual(decodeContentRequest(encodeContentRequest({ root: id(3), index })), { root: id(3), index });
    assert.throws(() => decodeContentRequest(encodeContentRequest({ root: id(3), index: 4096 })), { code: 'MALFORMED' });
    assert.throws(() => decodeContentRequest(encodeContentRequest({ root: id(3), index: -2 })), { code: 'MALFORMED' });
  });

  it('answers with leaves that are checked against the root', () => {
    for (const size of [0, 1, CHUNK_BYTES + 1]) {
      const index = contentOf(new Uint8Array(size).fill(3));
      assert.deepEqual(decodeContentIndex(encodeContentIndex(index), index.root), { ...index, held: 'all' });
      assert.throws(() => decodeContentIndex(encodeContentIndex(index), id(9)), { code: 'HASH_MISMATCH' });
    }
    const index = contentOf(new Uint8Array(2 * CHUNK_BYTES));
    assert.throws(() => decodeContentIndex(encodeContentIndex({ ...index, sizeBytes: CHUNK_BYTES }), index.root), { code: 'MALFORMED' });
  });
});

describe('chunks held', () => {
  it('come back as they are, alone and with the leaves', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 4_096 }), fc.array(fc.nat(4_095)), (chunks, some) => {
        const held = new Set(some.filter((i) => i < chunks));
        assert.deepEqual(decodeHeldChunks(encodeHeldChunks(held, chunks), chunks), held);
        assert.equal(decodeHeldChunks(encodeHeldChunks('all', chunks), chunks), 'all');
      }),
    );
    const index = contentOf(new Uint8Array(9 * CHUNK_BYTES));
    assert.deepEqual(decodeContentIndex(encodeContentIndex(index, new Set([0, 8])), index.root).held, new Set([0, 8]));
  });

  it('are as many as the content has, and none after its last', () => {
    for (const [chunks, bits] of [
      [9, Uint8Array.of(255)],
      [9, Uint8Array.of(255, 1, 0)],
      [9, Uint8Array.of(0, 2)],
      [9, Uint8Array.of(0, 128)],
      [9, 'all'],
      [9, [0, 1, 1, 5]],
    ] as const)
      assert.throws(() => decodeHeldChunks(encode(bits), chunks), { code: 'MALFORMED' }, `${bits}`);
    assert.throws(() => decodeHeldChunks(encode(new Uint8Array(4_096)), 4_096), { code: 'TOO_LARGE' });
  });
});

describe('keys protocol', () => {
  const key: UpdateKey = { id: id(1), key: new Uint8Array(32).fill(5), cipherRoot: id(7), cipherBytes: 900 };

  it('asks for keys and hands them over', () => {
    const messages: KeysMessage[] = [
      { kind: 'request', ids: [id(2), id(1)] },
      { kind: 'push', keys: [key] },
    ];
    for (const message of messages) assert.deepEqual(decodeKeysMessage(encodeKeysMessage(message)), message);
  });

  it('refuses short keys, sizes out of range and unknown kinds', () => {
    for (const change of [{ key: new Uint8Array(31) }, { cipherBytes: 0 }, { cipherBytes: 2 ** 40 }])
      assert.throws(() => decodeKeysMessage(encodeKeysMessage({ kind: 'push', keys: [{ ...key, ...change }] })), { code: 'MALFORMED' });
    assert.throws(() => decodeKeysMessage(encode([2, []])), { code: 'MALFORMED' });
  });
});
