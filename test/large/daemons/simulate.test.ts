import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Nest } from '../../support/daemons.ts';

/** A disk that forgets at its one crash: breaks finality, whatever the protocol does. */
const PLANTED = `
name = "planted"
nodes = 4
epochs = 2
forgetful = [2]

[[events]]
kind = "crash"
at_ms = 3_000
for_ms = 300
node = 2
`;

describe('starling simulate, of a scenario that breaks', function () {
  this.timeout(60_000);
  let nest: Nest;
  beforeEach(() => {
    nest = new Nest();
  });
  afterEach(() => nest.end());

  it('exits 1 when something breaks, and writes down a short scenario that breaks it again', async () => {
    const file = join(nest.folder, 'planted.toml');
    writeFileSync(file, PLANTED);
    const out = nest.data('out');
    const { code, stdout, stderr } = await nest.run('simulate', file, '--out', out, '--seed', '3');
    assert.equal(code, 1, stderr);
    assert.match(stderr, /^seed 3: regress at .+, node 2, /m);
    assert.match(stderr, /^\[\[events\]\]$/m);
    assert.match(stdout, /^planted: 4 nodes, 1 runs, [1-9]\d* conflicts/m);
    assert.match(stdout, /^failing seeds: 3$/m);
    const failure = join(out, 'failure-3.toml');
    assert.ok(existsSync(failure));
    const again = await nest.run('simulate', failure, '--json');
    assert.equal(again.code, 1, again.stderr);
    assert.deepEqual((JSON.parse(again.stdout) as { failingSeeds: number[] }).failingSeeds, [3]);
  });
});
