import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { digestOf, encodeReport, type ReportSignature, reportOf, signReport, verifyReport } from '../../../src/simulation/report.ts';
import { parseScenario } from '../../../src/simulation/scenario.ts';
import type { StarlingError } from '../../../src/spec/index.ts';

const scenario = parseScenario({ name: 'test' }, 'a test');
const bytes = encodeReport(reportOf(scenario, []));

describe('a report', () => {
  it('has one form, and its digest is what sha256sum says', () => {
    assert.deepEqual(encodeReport(reportOf(parseScenario({ name: 'test' }, 'again'), [])), bytes);
    assert.deepEqual(JSON.parse(Buffer.from(bytes).toString()), { v: 1, scenario, verdict: 'held', runs: [] });
    assert.equal(digestOf(bytes), createHash('sha256').update(bytes).digest('hex'));
  });

  it('is signed, the same way every time; any other byte in it or in its signature is refused by name', () => {
    const signature = signReport(bytes);
    assert.deepEqual(signReport(bytes), signature);
    verifyReport(bytes, signature);
    const refuses = (changed: Uint8Array, by: ReportSignature, field: string): void =>
      assert.throws(
        () => verifyReport(changed, by),
        (e) => (e as StarlingError).code === 'BAD_SIGNATURE' && (e as StarlingError).facts.field === field,
      );
    for (let at = 0; at < bytes.length; at += 101) {
      const changed = Uint8Array.from(bytes);
      changed[at] = (changed[at] as number) ^ 1;
      refuses(changed, signature, 'digest');
    }
    const flip = (hex: string): string => (hex.startsWith('0') ? '1' : '0') + hex.slice(1);
    for (const field of ['fingerprint', 'ed25519PublicKey', 'mldsaPublicKey', 'signature'] as const)
      refuses(bytes, { ...signature, [field]: flip(signature[field]) }, field);
    refuses(bytes, { ...signature, context: 'other' } as unknown as ReportSignature, 'context');
  });
});
