import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { readApiFile } from '../../src/api/files.ts';
import type { ErrorCode } from '../../src/spec/index.ts';
import { contribute, type Daemon, type Ended, freePort, LISTEN, Nest } from '../support/daemons.ts';

function assertRefused({ code, stdout, stderr }: Ended, error: ErrorCode, exitCode = 1): void {
  assert.equal(code, exitCode, stderr);
  assert.equal(stdout, '');
  assert.match(stderr, new RegExp(`^error ${error}: .+$`, 'm'));
  assert.match(stderr, /^ {2}fix: \S/m);
}

describe('a daemon that cannot start as asked', function () {
  this.timeout(60_000);
  let nest: Nest;
  let running: Daemon;
  before(async () => {
    nest = new Nest();
    await nest.found('running');
    running = await nest.daemon('running', '--listen', LISTEN.tcp, '--listen', LISTEN.quic);
  });
  after(() => nest.end());
  afterEach(async () => {
    // Whatever was tried beside it: the daemon that runs goes on, and is found.
    assert.equal(readApiFile(running.data)?.pid, running.process.pid);
    const { epoch } = await contribute(running.client);
    await running.client.call('epoch_wait', { epoch });
  });

  it('refuses a data folder in use, and names the process that has it', async () => {
    const [daemon, create] = await Promise.all([
      nest.launch('running').ended,
      nest.run('swarm', 'create', '--data', running.data, '--config', nest.config('other')),
    ]);
    assertRefused(daemon, 'DATA_IN_USE');
    assertRefused(create, 'DATA_IN_USE');
    assert.match(daemon.stderr, new RegExp(`pid ${running.process.pid}\\b`));
  });

  it('refuses a port in use: that of the API, of TCP, of QUIC', async () => {
    const { port } = new URL(running.client.url);
    const taken = running.info.addresses.map((address) => address.replace(/\/p2p\/.*/, ''));
    const flags = [['--api-port', port], ...taken.map((address) => ['--listen', address])];
    const ended = await Promise.all(flags.map((pair, i) => nest.launch(`port${i}`, ...pair).ended));
    assert.equal(ended.length, 3);
    for (const [i, one] of ended.entries()) {
      assertRefused(one, 'PORT_IN_USE');
      const said = i === 0 ? `port: ${port}` : `field: ${taken[i - 1]}`;
      assert.ok(one.stderr.includes(said), one.stderr);
      assert.ok(!existsSync(join(nest.data(`port${i}`), 'api.json')));
    }
  });

  it('refuses another swarm than it was told, as a newcomer and with a data folder', async () => {
    const other = 'f'.repeat(64);
    await nest.found('member');
    const [newcomer, member, nowhere] = await Promise.all([
      nest.launch('newcomer', '--bootstrap', running.address, '--swarm', other).ended,
      nest.launch('member', '--swarm', other).ended,
      nest.launch('nowhere', '--swarm', other).ended,
    ]);
    assertRefused(newcomer, 'WRONG_SWARM');
    assert.ok(newcomer.stderr.includes(running.info.swarmId));
    assert.ok(!existsSync(join(nest.data('newcomer'), 'genesis.cbor')));
    assertRefused(member, 'WRONG_SWARM');
    assertRefused(nowhere, 'BAD_USAGE', 2);
  });

  it('warns of a bootstrap address that does not answer: a newcomer tries until it does, a member goes on', async () => {
    const port = await freePort();
    const address = `/ip4/127.0.0.1/tcp/${port}`;
    await nest.found('member2');
    const newcomer = nest.launch('newcomer2', '--bootstrap', address);
    const member = await nest.daemon('member2', '--bootstrap', address);
    for (const one of [newcomer, member.process]) {
      const warning = await one.logged({ level: 40, code: 'UNREACHABLE' });
      assert.ok(JSON.stringify(warning).includes(address));
      assert.ok(warning.fix);
    }
    await nest.found('late');
    const late = await nest.daemon('late', '--listen', address);
    const [joined, { epoch }] = await Promise.all([nest.ready('newcomer2', newcomer), contribute(member.client)]);
    assert.equal(joined.info.swarmId, late.info.swarmId);
    await member.client.call('epoch_wait', { epoch });
  });
});
