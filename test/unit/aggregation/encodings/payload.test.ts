import assert from 'node:assert/strict';
import fc from 'fast-check';
import { bytesOf, decodePayload, encodePayload, payloadMaxBytes, sentOf, type UpdateForm } from '../../../../src/aggregation/index.ts';
import type { IntRow } from '../../../../src/compute/api.ts';
import { QMAX } from '../../../../src/spec/index.ts';
import { picker, randomRows } from '../../../support/exchanges.ts';

const forms = fc.record<UpdateForm>({
  encoding: fc.constantFrom('dense', 'topk', 'sign'),
  topkShare: fc.constantFrom(0.001, 0.05, 0.3, 1),
  updateDtype: fc.constantFrom('int16', 'int8'),
});
const spansOf = (length: number) => [
  { name: 'a', start: 0, end: length >> 2 },
  { name: 'b', start: length >> 2, end: length },
];
const rowOf = (form: UpdateForm, length: number, seed: number): IntRow =>
  (randomRows(1, length, QMAX[form.updateDtype], picker(seed)) as [IntRow])[0];
const given = fc.tuple(forms, fc.nat({ max: 400 }), fc.integer());
const code = (expected: string) => (e: unknown) => (e as { code?: string }).code === expected;

describe('payloads of updates', () => {
  it('hold what is sent, all of it and nothing else, within their bound', () => {
    fc.assert(
      fc.property(given, ([form, length, seed]) => {
        const spans = spansOf(length);
        const sent = sentOf(rowOf(form, length, seed), spans, form);
        const payload = encodePayload(sent, spans, form);
        assert.ok(payload.byteLength <= payloadMaxBytes(spans, form));
        const decoded = decodePayload(Uint8Array.from(payload), spans, form);
        assert.deepEqual(decoded, sent);
        assert.deepEqual(Buffer.from(encodePayload(decoded, spans, form)), Buffer.from(payload));
      }),
      { numRuns: 300 },
    );
  });

  it('carry of each tensor its own share under top-k, the largest', () => {
    fc.assert(
      fc.property(fc.nat({ max: 400 }), fc.constantFrom(0.001, 0.05, 0.3, 1), fc.integer(), (length, topkShare, seed) => {
        const form: UpdateForm = { encoding: 'topk', topkShare, updateDtype: 'int16' };
        const row = rowOf(form, length, seed);
        const sent = sentOf(row, spansOf(length), form);
        for (const { start, end } of spansOf(length)) {
          const magnitudes = [...row.slice(start, end)].map(Math.abs).sort((a, b) => b - a);
          const kept = [...sent.slice(start, end)].filter((v) => v !== 0).map(Math.abs);
          assert.deepEqual(
            kept.sort((a, b) => b - a),
            magnitudes.slice(0, Math.ceil(topkShare * (end - start))).filter((v) => v > 0),
          );
        }
        assert.ok(sent.every((v, k) => v === 0 || v === row[k]));
      }),
    );
  });

  it('stand for one magnitude a tensor under signs, each with its sign', () => {
    const form: UpdateForm = { encoding: 'sign', topkShare: 1, updateDtype: 'int8' };
    const spans = spansOf(8);
    const row = Int8Array.of(127, -127, 3, -1, 0, -5, 0, 6);
    assert.deepEqual(sentOf(row, spans, form), Int8Array.of(127, -127, 3, -3, 3, -3, 3, 3));
    assert.equal(encodePayload(sentOf(row, spans, form), spans, form).byteLength, 2 * 2 + 1);
  });

  it('of any other bytes are refused by name, or are a row within its type', () => {
    const codes = ['MALFORMED', 'NON_CANONICAL', 'BOUNDS_EXCEEDED'];
    fc.assert(
      fc.property(given, fc.uint8Array({ maxLength: 60 }), fc.nat(), ([form, length, seed], junk, at) => {
        const spans = spansOf(length);
        const payload = Uint8Array.from(encodePayload(sentOf(rowOf(form, length, seed), spans, form), spans, form));
        payload.set(junk.subarray(0, Math.max(0, payload.length - (at % (payload.length + 1)))), at % (payload.length + 1));
        for (const bytes of [payload, junk, payload.subarray(1).slice()])
          try {
            const row = decodePayload(bytes, spans, form);
            assert.equal(row.length, length);
            if (form.encoding !== 'dense') assert.ok(row.every((v) => Math.abs(v) <= QMAX[form.updateDtype]));
          } catch (e) {
            assert.ok(codes.includes((e as { code: string }).code), String(e));
          }
      }),
      { numRuns: 500 },
    );
  });

  it('are refused by name where they claim what cannot be', () => {
    const spans = [{ name: 'a', start: 0, end: 40 }];
    const topk: UpdateForm = { encoding: 'topk', topkShare: 0.05, updateDtype: 'int8' };
    const signs: UpdateForm = { ...topk, encoding: 'sign' };
    const three = encodePayload(
      Int8Array.from({ length: 40 }, (_, k) => (k < 3 ? 5 : 0)),
      spans,
      topk,
    );
    const refused: readonly (readonly [what: string, form: UpdateForm, bytes: Uint8Array, code: string])[] = [
      ['three values where two travel', topk, three, 'MALFORMED'],
      ['four thousand million values', topk, Uint8Array.of(0, 255, 255, 255, 255), 'MALFORMED'],
      ['a place beyond the row', topk, Uint8Array.of(0, 1, 0, 0, 0, 40, 1), 'MALFORMED'],
      ['a difference that wraps round to a place before', topk, Uint8Array.of(0, 2, 0, 0, 0, 5, 255, 255, 255, 255, 15, 1, 1), 'MALFORMED'],
      ['no values behind the places', topk, Uint8Array.of(0, 2, 0, 0, 0, 1, 1), 'MALFORMED'],
      ['a magnitude beyond int8', signs, Uint8Array.of(128, 0, 0, 0, 0, 0, 0), 'BOUNDS_EXCEEDED'],
      ['a bit too many', signs, new Uint8Array(8), 'MALFORMED'],
      ['an integer too many', { ...topk, encoding: 'dense' }, new Uint8Array(41), 'MALFORMED'],
    ];
    for (const [what, form, bytes, expected] of refused) assert.throws(() => decodePayload(bytes, spans, form), code(expected), what);
    assert.equal(decodePayload(Uint8Array.of(0, 1, 0, 0, 0, 39, 1), spans, topk)[39], 1);
  });

  it('are small: a twentieth of int16 takes a fourteenth of its bytes, signs a sixteenth', () => {
    const spans = [{ name: 'a', start: 0, end: 100_000 }];
    const size = (encoding: UpdateForm['encoding']): number => {
      const form: UpdateForm = { encoding, topkShare: 0.05, updateDtype: 'int16' };
      return encodePayload(sentOf(rowOf(form, 100_000, 1), spans, form), spans, form).byteLength;
    };
    assert.equal(size('dense'), 200_000);
    assert.equal(size('sign'), 12_502);
    assert.ok(size('topk') > 15_000 && size('topk') < 16_000, `${size('topk')}`);
    const row = rowOf({ encoding: 'dense', topkShare: 1, updateDtype: 'int16' }, 8, 1);
    assert.deepEqual(encodePayload(row, spans, { encoding: 'dense', topkShare: 1, updateDtype: 'int16' }), bytesOf(row));
  });
});
