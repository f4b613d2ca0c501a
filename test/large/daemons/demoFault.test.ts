import assert from 'node:assert/strict';
import { Nest } from '../../support/daemons.ts';

describe('starling demo with one weight broken in one daemon', function () {
  this.timeout(120_000);
  let nest: Nest;
  before(() => {
    nest = new Nest();
  });
  after(() => nest.end());

  it('ends with exit code 1 and names the node, which stopped rather than go on with another model', async () => {
    const fault = new URL('../../support/oneUlp.ts', import.meta.url);
    const demo = nest.spawn(['demo', '--nodes', '3', '--epochs', '2', '--json'], {
      NODE_OPTIONS: `--import=${fault.href}`,
      TMPDIR: nest.folder,
    });
    const { code, stdout, stderr } = await demo.ended;
    assert.equal(code, 1, stderr);
    const { error } = JSON.parse(stdout) as { error: { code: string; message: string; fix?: string } };
    assert.match(`${error.code} ${error.message} ${error.fix}`, /node ?1\b/, stderr);
  });
});
