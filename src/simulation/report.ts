/** What a simulation found, in a form that repeats byte for byte and that its signature covers. */
import { hash } from 'node:crypto';
import { hashWithDomain, type Identity, identityFromSeeds, nobleMldsa, toHex, utf8, verifyComposite } from '../crypto/index.ts';
import { type Hex, StarlingError } from '../spec/index.ts';
import type { RunOutcome } from './run.ts';
import type { Scenario } from './scenario.ts';

const CONTEXT = 'starling/simulation/1';

/** No real time is in it: the same scenario and seeds give the same bytes. */
export interface Report {
  readonly v: 1;
  readonly scenario: Scenario;
  readonly verdict: 'held' | 'broken';
  readonly runs: readonly RunOutcome[];
}

export interface ReportSignature {
  readonly context: typeof CONTEXT;
  /** sha256 of report.json. */
  readonly digest: Hex;
  readonly fingerprint: Hex;
  readonly ed25519PublicKey: Hex;
  readonly mldsaPublicKey: Hex;
  /** Composite, over the bytes of report.json. */
  readonly signature: Hex;
}

export const reportOf = (scenario: Scenario, runs: readonly RunOutcome[]): Report => ({
  v: 1,
  scenario,
  verdict: runs.every((r) => r.verdict === 'held') ? 'held' : 'broken',
  runs,
});

/** The bytes of report.json: JSON in the order of the fields, one line feed at the end. */
export const encodeReport = (report: Report): Uint8Array => utf8(`${JSON.stringify(report, null, 1)}\n`);

export const digestOf = (bytes: Uint8Array): Hex => hash('sha256', bytes, 'hex');

/**
 * The signature beside a report. Its key is made from what it signs, so that a repeated simulation repeats it too: it shows
 * that the report is whole, not who made it.
 */
export function signReport(bytes: Uint8Array): ReportSignature {
  const digest = digestOf(bytes);
  const identity = keyOf(digest);
  return {
    context: CONTEXT,
    digest,
    fingerprint: identity.fingerprint,
    ed25519PublicKey: toHex(identity.ed25519PublicKey),
    mldsaPublicKey: toHex(identity.mldsaPublicKey),
    signature: toHex(identity.signComposite(CONTEXT, bytes)),
  };
}

/** Throws BAD_SIGNATURE, naming what does not match. */
export function verifyReport(bytes: Uint8Array, signature: ReportSignature): void {
  const bad = (field: string): StarlingError =>
    new StarlingError('BAD_SIGNATURE', `the report's ${field} does not match`, { field, fix: 'run the simulation again' });
  if (signature.context !== CONTEXT) throw bad('context');
  if (signature.digest !== digestOf(bytes)) throw bad('digest');
  const { mldsaPublicKey, ed25519PublicKey, fingerprint } = keyOf(signature.digest);
  const keys = { mldsaPublicKey, ed25519PublicKey };
  if (signature.fingerprint !== fingerprint) throw bad('fingerprint');
  if (signature.ed25519PublicKey !== toHex(ed25519PublicKey)) throw bad('ed25519PublicKey');
  if (signature.mldsaPublicKey !== toHex(mldsaPublicKey)) throw bad('mldsaPublicKey');
  if (!verifyComposite(CONTEXT, bytes, Buffer.from(signature.signature, 'hex'), keys)) throw bad('signature');
}

function keyOf(digest: Hex): Identity {
  const seed = (part: string): Uint8Array => hashWithDomain('starling/simulation/report', utf8(`${digest}/${part}`));
  return identityFromSeeds({ mldsaSeed: seed('mldsa'), ed25519Seed: seed('ed25519') }, nobleMldsa);
}
