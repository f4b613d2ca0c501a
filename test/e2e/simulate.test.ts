import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ReportSignature, verifyReport } from '../../src/simulation/index.ts';
import { Nest } from '../support/daemons.ts';

interface Summary {
  readonly scenario: string;
  readonly digest: string;
  readonly failingSeeds: readonly number[];
}

describe('starling simulate', function () {
  this.timeout(60_000);
  let nest: Nest;
  beforeEach(() => {
    nest = new Nest();
  });
  afterEach(() => nest.end());

  it('prints one document, writes a signed report, and repeats both to the byte in another process', async () => {
    const run = async (name: string) => {
      const out = nest.data(name);
      const flags = ['--seed', '7', '--nodes', '4', '--epochs', '2', '--runs', '2', '--out', out, '--json'];
      const { code, stdout, stderr } = await nest.run('simulate', 'lossy', ...flags);
      assert.equal(code, 0, stderr);
      assert.match(stderr, /^seed 8: held, \d+ epochs$/m);
      const report = readFileSync(join(out, 'report.json'));
      const signature = JSON.parse(readFileSync(join(out, 'report.sig.json'), 'utf8')) as ReportSignature;
      assert.deepEqual(readdirSync(out).sort(), ['report.json', 'report.sig.json']);
      return { summary: JSON.parse(stdout) as Summary, report, signature };
    };
    const [one, other] = await Promise.all([run('one'), run('other')]);
    assert.deepEqual(other, one);
    const { digest, ...rest } = one.summary;
    const figures = { seed: 7, nodes: 4, runs: 2, epochs: 2, conflicts: 0, unfinished: 0, lost: 0 };
    assert.deepEqual(rest, { scenario: 'lossy', ...figures, failingSeeds: [] });
    assert.equal(digest, createHash('sha256').update(one.report).digest('hex'));
    verifyReport(one.report, one.signature);
    const { runs } = JSON.parse(one.report.toString()) as {
      runs: { seed: number; epochs: { epoch: number; treeRoot: string; votes: string[] }[] }[];
    };
    assert.deepEqual(
      runs.map((r) => r.seed),
      [7, 8],
    );
    for (const { epochs } of runs) {
      epochs.forEach(({ epoch, treeRoot }, i) => {
        assert.deepEqual([epoch, /^[0-9a-f]{64}$/.test(treeRoot)], [i + 1, true]);
      });
      // The founder alone finalises the first; later ones have a quorum of four behind them.
      assert.ok((epochs.at(-1)?.votes.length ?? 0) >= 3);
    }
  });

  it('refuses what it cannot run with exit code 2, and says what would do', async () => {
    const bad = join(nest.folder, 'bad.toml');
    writeFileSync(bad, 'name = "bad"\n[link]\nloss = 3\n');
    for (const [argv, words] of [
      [['no-such'], /calm, churn/],
      [[bad], /link\.loss/],
      [['calm', '--nodes', '0'], /whole number/],
      [['calm', '--nodes', '100000'], /nodes/],
      [['everything', '--seed', 'x'], /whole number/],
      [[], /scenario/],
    ] as const) {
      const { code, stderr } = await nest.run('simulate', ...argv);
      assert.deepEqual([code, words.test(stderr)], [2, true], stderr);
      assert.match(stderr, /^error BAD_USAGE: /);
    }
  });
});
