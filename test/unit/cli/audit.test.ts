import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { AuditReport } from '../../../src/ledger/index.ts';
import { makeCheckpoint, makeProof } from '../../../src/node/proofs.ts';
import { FinalChain, identityNamed } from '../../support/finalChain.ts';

const CLI = fileURLToPath(new URL('../../../scripts/starling.js', import.meta.url));

describe('starling audit, a process of its own in a folder of its own', function () {
  this.timeout(60_000);
  const ann = identityNamed('ann');
  const chain = new FinalChain([ann]);
  chain.finalise([], [chain.join(ann)]);
  const contribution = chain.contribute(ann);
  chain.finalise([contribution]);
  const source = chain.source(ann);
  const { note } = makeCheckpoint(source, ann);
  const proof = JSON.stringify(makeProof(source, { kind: 'entry', id: contribution.id }), null, 1);

  let folder = '';
  let empty = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'starling-audit-'));
    empty = mkdtempSync(join(tmpdir(), 'starling-audit-cwd-'));
    writeFileSync(join(folder, 'note'), note);
    writeFileSync(join(folder, 'proof'), proof);
  });
  afterEach(() => {
    assert.deepEqual(readdirSync(empty), [], 'an audit leaves nothing behind');
    for (const path of [folder, empty]) rmSync(path, { recursive: true });
  });

  /** There is no data folder, and no variable of this process leads to one. */
  const starling = (...argv: string[]) => {
    const env = { PATH: process.env.PATH, HOME: folder };
    const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, 'audit', ...argv], { cwd: empty, env, encoding: 'utf8' });
    return { code: status, stdout, stderr };
  };
  const files = () => ['--checkpoint', join(folder, 'note'), '--proof', join(folder, 'proof')];

  it('accepts, and says what it checked', () => {
    const { code, stdout, stderr } = starling(...files(), '--json', '--signer', ann.fingerprint);
    assert.deepEqual([code, stderr], [0, '']);
    const report = JSON.parse(stdout) as AuditReport;
    assert.ok(report.ok);
    assert.deepEqual(
      report.checks.map(({ name, ok }) => [name, ok]),
      [
        'proof',
        'proof.genesis',
        'checkpoint.signature',
        'proof.block',
        'proof.block.header.treeRoot',
        'proof.entry.signature',
        'proof.entry.path',
      ].map((name) => [name, true]),
    );
  });

  it('refuses with exit code 1 and the name of what does not match', () => {
    writeFileSync(join(folder, 'proof'), proof.replace(/"index": 1/, '"index": 0'));
    const { code, stdout, stderr } = starling(...files());
    assert.deepEqual([code, stderr], [1, '']);
    assert.match(stdout, /proof\.entry\.path +FAILED[^\n]*\nnot valid: proof\.entry\.path does not match\n$/);
  });

  it('says what is missing with exit code 1, and wrong usage with 2', () => {
    rmSync(join(folder, 'proof'));
    const absent = starling(...files());
    assert.equal(absent.code, 1);
    assert.match(absent.stderr, /error NOT_FOUND[\s\S]*field: proof/);
    const wrong = starling('--checkpoint', join(folder, 'note'));
    assert.equal(wrong.code, 2);
    assert.match(wrong.stderr, /--proof/);
  });
});
