import assert from 'node:assert/strict';
import type { DemoResult } from '../../src/cli/demo/result.ts';
import { Nest } from '../support/daemons.ts';

describe('starling demo with one weight broken in one daemon', function () {
  this.timeout(120_000);
  let nest: Nest;
  before(() => {
    nest = new Nest();
  });
  after(() => nest.end());

  it('says that the nodes are not equal, and which one differs, with exit code 1', async () => {
    const fault = new URL('../support/oneUlp.ts', import.meta.url);
    const demo = nest.spawn(['demo', '--nodes', '3', '--epochs', '2', '--json'], {
      NODE_OPTIONS: `--import=${fault.href}`,
      TMPDIR: nest.folder,
    });
    const { code, stdout, stderr } = await demo.ended;
    assert.equal(code, 1, stderr);
    const { equal, nodes } = JSON.parse(stdout) as DemoResult;
    assert.equal(equal, false, stderr);
    const roots = nodes.map(({ modelRoot }) => modelRoot);
    for (const root of roots) assert.match(root, /^[0-9a-f]{64}$/);
    assert.equal(roots[2], roots[0]);
    assert.notEqual(roots[1], roots[0]);
    assert.match(stderr, /NOT EQUAL/);
  });
});
