import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bytesOf } from '../../src/aggregation/index.ts';
import type { Calls, EntryJson, Receipt } from '../../src/api/calls.ts';
import { readApiFile } from '../../src/api/files.ts';
import { contentOf } from '../../src/crypto/index.ts';
import { StarlingError } from '../../src/spec/index.ts';
import { decodeSafetensors } from '../../src/wire/index.ts';
import { contribute, type Daemon, type Ended, Nest, updateOf } from '../support/daemons.ts';

type Result<M extends keyof Calls> = Calls[M]['result'];

describe('starling against a live daemon', function () {
  this.timeout(60_000);
  let nest: Nest;
  let daemon: Daemon;
  let swarmId = '';
  before(async () => {
    nest = new Nest();
    const created = await starling('swarm', 'create', '--config', nest.config('cli'));
    ({ swarmId } = created as { swarmId: string });
    daemon = await nest.daemon('node');
    const { epoch } = await contribute(daemon.client);
    await daemon.client.call('epoch_wait', { epoch });
  });
  after(() => nest.end());

  const run = (...argv: string[]): Promise<Ended> => nest.run('--data', nest.data('node'), ...argv);

  /** The one document that a command prints on stdout under --json. */
  async function starling(...argv: string[]): Promise<unknown> {
    const { code, stdout, stderr } = await run(...argv, '--json');
    assert.equal(code, 0, `${argv.join(' ')}: ${stderr}`);
    return JSON.parse(stdout);
  }

  /** The error of a command that fails, as people and as programs read it. */
  async function failure(exitCode: number, ...argv: string[]): Promise<{ code?: string; fix?: string }> {
    const { code, stdout, stderr } = await run(...argv, '--json');
    assert.equal(code, exitCode, `${argv.join(' ')}: ${stderr}`);
    const { error } = JSON.parse(stdout) as { error: { code: string; fix?: string } };
    assert.match(stderr, new RegExp(`^error ${error.code}: `));
    return error;
  }

  it('founds a swarm once, and shows it', async () => {
    const elsewhere = ['swarm', 'create', '--config', nest.config('cli'), '--data', nest.data('founder')];
    assert.match((await nest.run(...elsewhere)).stdout, /^swarm cli: [0-9a-f]{64}\n$/);
    const again = await nest.run(...elsewhere);
    assert.equal(again.code, 2);
    assert.match(again.stderr, /^error BAD_USAGE: .+\n[\s\S]* {2}fix: /);
    const [shown, text] = await Promise.all([starling('swarm', 'show'), run('swarm', 'show')]);
    const { swarmId: id, name, parameters, members } = shown as Result<'swarm_info'>;
    assert.deepEqual([id, name, parameters], [swarmId, 'cli', 23]);
    assert.deepEqual(
      members.map(({ fingerprint }) => fingerprint),
      [daemon.info.fingerprint],
    );
    assert.ok(text.stdout.includes(swarmId));
  });

  it('shows status, peers and epochs', async () => {
    const [status, text, peers, epochs, table] = await Promise.all([
      starling('status'),
      run('status'),
      starling('peers'),
      starling('epochs', '--limit', '2'),
      run('epochs'),
    ]);
    const { node, health, epoch, ledger } = status as {
      node: Result<'node_info'>;
      health: Result<'node_health'>;
      epoch: Result<'epoch_current'>;
      ledger: Result<'ledger_head'>;
    };
    assert.deepEqual([node.pid, node.swarmId, health.ok, health.ready], [daemon.process.pid, swarmId, true, true]);
    assert.ok(epoch.finalized.epoch >= 1);
    assert.ok(ledger.treeSize >= 2);
    assert.ok(text.stdout.includes(node.addresses[0] as string), text.stdout);
    assert.match(text.stdout, /1 voter, quorum 1/);
    assert.deepEqual(peers, []);
    const [newest, before] = epochs as Result<'epoch_list'>;
    assert.equal(newest?.epoch, (before?.epoch ?? 0) + 1);
    assert.match(table.stdout, /^epoch +status +contributions/);
  });

  it('lists, shows, proves and verifies the ledger', async () => {
    const entries = (await starling('ledger', 'list')) as EntryJson[];
    assert.deepEqual(
      entries.map(({ index }) => index),
      entries.map((_, i) => i),
    );
    const contribution = entries.find(({ kind }) => kind === 'contribution') as EntryJson;
    const [note, proof] = ['note', 'proof'].map((name) => `${nest.data('node')}.${name}`) as [string, string];
    const made = (await starling('ledger', 'checkpoint', '--out', note)) as Result<'ledger_checkpoint'>;
    assert.deepEqual([made.swarm, made.signer], [swarmId, daemon.info.fingerprint]);
    for (const what of [[contribution.id], [contribution.id, '--record'], ['--event', '1'], ['--block', '1'], ['--since', note]]) {
      await starling('ledger', 'prove', ...what, '--checkpoint', note, '--out', proof);
      const audited = await nest.run('audit', '--checkpoint', note, '--proof', proof, '--signer', daemon.info.fingerprint);
      assert.equal(audited.code, 0, `${what.join(' ')}: ${audited.stdout}${audited.stderr}`);
    }
    const [shown, verified] = await Promise.all([starling('ledger', 'show', contribution.id), starling('ledger', 'verify')]);
    assert.deepEqual(shown, contribution);
    const { ok, problems } = verified as Result<'ledger_verify'>;
    assert.deepEqual({ ok, problems }, { ok: true, problems: [] });

    const unknown = await failure(1, 'ledger', 'show', '0'.repeat(64));
    assert.equal(unknown.code, 'UNKNOWN_ENTRY');
    assert.ok(unknown.fix);
  });

  it('pulls the model whose root it names, and pushes an update', async () => {
    const file = join(nest.folder, 'model.safetensors');
    const pulled = (await starling('model', 'pull', file, '--head', 'latest')) as { epoch: number; modelRoot: string };
    const tensors = decodeSafetensors(new Uint8Array(readFileSync(file)), 10_000);
    assert.equal(contentOf(Buffer.concat(tensors.map(({ values }) => bytesOf(values)))).root, pulled.modelRoot);
    writeFileSync(file, updateOf(tensors));
    const epoch = pulled.epoch + 1;
    const push = ['model', 'push', file, '--samples', '5', '--epoch'];
    const { contributionId } = (await starling(...push, String(epoch))) as Receipt;
    await starling('rpc', 'epoch_wait', JSON.stringify({ epoch }));
    const { roster } = (await starling('rpc', 'epoch_get', `[${epoch}]`)) as Result<'epoch_get'>;
    assert.deepEqual(
      roster.map(({ entry, samples }) => [entry, samples]),
      [[contributionId, 5]],
    );
    assert.equal((await failure(1, ...push, String(epoch))).code, 'EPOCH_PAST');
    assert.equal((await failure(1, ...push, '99')).code, 'EPOCH_FAR');
  });

  it('calls any method, and tells what is wrong with a call', async () => {
    const info = (await starling('rpc', 'node_info')) as Result<'node_info'>;
    assert.deepEqual({ ...info, uptimeMs: 0 }, { ...daemon.info, uptimeMs: 0 });
    assert.equal((await failure(1, 'rpc', 'nothing_there')).code, 'UNKNOWN_METHOD');
    assert.equal((await failure(1, 'rpc', 'epoch_get', '{"epoch":-1}')).code, 'BAD_PARAMS');
    assert.equal((await failure(2, 'rpc', 'epoch_get', '{')).code, 'BAD_USAGE');
  });

  it('finds a machine and a folder in order that hold a running daemon', async () => {
    const { ok, checks } = (await starling('doctor')) as { ok: boolean; checks: { check: string; state: string; found: string }[] };
    assert.equal(ok, true);
    assert.match(checks.find(({ check }) => check === 'daemon')?.found ?? '', new RegExp(`pid ${daemon.process.pid}\\b`));
  });
});

describe('a daemon that is told to stop', function () {
  this.timeout(60_000);
  let nest: Nest;
  before(() => {
    nest = new Nest();
  });
  after(() => nest.end());

  it('ends in order with exit code 0, and starts again where it was', async () => {
    await nest.found('node');
    const stops: readonly (readonly [how: string, stop: (daemon: Daemon) => Promise<unknown>])[] = [
      ['SIGTERM', ({ process }) => process.end('SIGTERM')],
      ['SIGINT', ({ process }) => process.end('SIGINT')],
      ['node_shutdown', ({ client }) => client.call('node_shutdown')],
    ];
    let before: Result<'ledger_head'> | undefined;
    for (const [how, stop] of stops) {
      const daemon = await nest.daemon('node');
      if (before !== undefined) assert.deepEqual(await daemon.client.call('ledger_head'), before);
      const { epoch } = await contribute(daemon.client);
      await daemon.client.call('epoch_wait', { epoch });
      before = await daemon.client.call('ledger_head');
      const waiting = daemon.client.call('epoch_wait', { epoch: epoch + 1 }).catch((error: unknown) => error);
      await stop(daemon);
      const { code, signal, stdout, stderr } = await daemon.process.ended;
      assert.deepEqual([how, code, signal, stdout], [how, 0, null, '']);
      assert.match(stderr, /"msg":"stopping"}\n$/);
      assert.equal(readApiFile(daemon.data), undefined);
      // Answered, or cut off where the stop overtook the question; never left hanging.
      const answer = await waiting;
      assert.ok(answer instanceof StarlingError && ['NOT_READY', 'DAEMON_DOWN'].includes(answer.code), String(answer));
      assert.ok(answer.facts.fix);
    }
  });
});
