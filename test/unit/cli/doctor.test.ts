import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadOrCreateToken, writeApiFile } from '../../../src/api/files.ts';
import { startApi } from '../../../src/api/server.ts';
import { examine, type Finding } from '../../../src/cli/doctor/checks.ts';
import { createFakeNode } from '../api/fakeNode.ts';

describe('starling doctor', () => {
  let data: string;
  beforeEach(() => {
    data = mkdtempSync(join(tmpdir(), 'starling-doctor-'));
    writeFileSync(join(data, 'config.toml'), 'api_port = 0\nlisten = ["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"]\n');
  });
  afterEach(() => rmSync(data, { recursive: true }));

  const look = async (check: string, environment = {}): Promise<Finding> => {
    const finding = (await examine(data, environment, [check]))[0];
    assert.equal(finding?.check, check);
    return finding as Finding;
  };

  it('finds this machine able to run the daemon, and the daemon absent', async () => {
    for (const check of ['node', 'clock', 'data folder', 'configuration', 'sqlite', 'zstd', 'ml-dsa', 'daemon', 'ports'])
      assert.equal((await look(check)).state, 'ok', check);
    assert.equal((await look('daemon')).found, 'not running');
  });

  it('warns of a data folder that others may open', async () => {
    chmodSync(data, 0o755);
    assert.deepEqual(await look('data folder'), {
      check: 'data folder',
      state: 'warning',
      found: `${data} is open to others (mode 755)`,
      fix: `chmod 700 ${data}`,
    });
  });

  it('fails on a port that is taken, and on configuration that is wrong, with a fix', async () => {
    const holder = createServer().listen(0, '127.0.0.1');
    await once(holder, 'listening');
    const ports = await look('ports', { STARLING_API_PORT: String((holder.address() as AddressInfo).port) });
    holder.close();
    assert.deepEqual([ports.state, /EADDRINUSE/.test(ports.found), /--api-port/.test(ports.fix ?? '')], ['failed', true, true]);
    const configuration = await look('configuration', { STARLING_CLASS: 'king' });
    assert.deepEqual([configuration.state, /class/.test(configuration.fix ?? '')], ['failed', true]);
  });

  it('takes ports that the daemon of this folder holds as they should be', async () => {
    const api = await startApi({ service: createFakeNode(), token: loadOrCreateToken(data), port: 0 });
    writeApiFile(data, { url: api.url, pid: process.pid, version: '0.0.0' });
    assert.equal((await look('ports')).found, 'held by the daemon');
    assert.match((await look('daemon')).found, /^runs, pid 4242/);
    await api.close();
  });
});
