import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { loadOrCreateToken, writeApiFile } from '../../../src/api/files.ts';
import { type ApiServer, startApi } from '../../../src/api/server.ts';
import { main } from '../../../src/cli/main.ts';
import { decodeSafetensors } from '../../../src/wire/safetensors.ts';
import { createFakeNode, type FakeNode, hash, VALUES } from '../api/fakeNode.ts';

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

class Sink extends Writable {
  text = '';
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}

describe('starling', () => {
  let data: string;
  let node: FakeNode;
  let api: ApiServer;

  beforeEach(async () => {
    data = mkdtempSync(join(tmpdir(), 'starling-cli-'));
    node = createFakeNode();
    api = await startApi({ service: node, token: loadOrCreateToken(data), port: 0 });
    writeApiFile(data, { url: api.url, pid: process.pid, version: '0.0.0' });
  });
  afterEach(async () => {
    await api.close();
    rmSync(data, { recursive: true });
  });

  async function starling(...argv: string[]): Promise<Outcome> {
    const [stdout, stderr] = [new Sink(), new Sink()];
    const code = await main(argv, { stdout, stderr }, { STARLING_DATA: data });
    return { code, stdout: stdout.text, stderr: stderr.text };
  }
  /** Exactly one JSON document, or the parse fails. */
  const document = ({ stdout }: Outcome) => JSON.parse(stdout) as Record<string, unknown> & { error?: { code: string; fix?: string } };

  describe('exit codes', () => {
    it('is 0 for --version and --help', async () => {
      const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as { version: string };
      assert.deepEqual(await starling('--version'), { code: 0, stdout: `${version}\n`, stderr: '' });
      const { code, stdout } = await starling('--help');
      assert.equal(code, 0);
      assert.match(stdout, /Commands:/);
    });

    it('is 2 for wrong usage, which is explained on stderr', async () => {
      const wrong: readonly (readonly string[])[] = [
        [],
        ['frobnicate'],
        ['ledger'],
        ['ledger', 'frobnicate'],
        ['status', '--frobnicate'],
        ['epochs', '--limit', '0'],
        ['epochs', '--limit', '1e3'],
        ['daemon', '--class', 'king'],
        ['daemon', '--api-port', '65536'],
        ['swarm', 'create'],
        ['invite', '--expires', 'soon'],
        ['invite', '--uses', '0'],
        ['invite', '--class', 'king'],
        ['ledger', 'prove'],
        ['ledger', 'prove', hash('1'), '--block', '2'],
        ['ledger', 'prove', '--record'],
        ['ledger', 'prove', '--block', '0'],
        ['audit'],
        ['audit', '--checkpoint', 'x'],
        ['audit', '--proof', 'x'],
        ['model', 'pull'],
        ['model', 'pull', 'x', '--head', 'newest'],
        ['model', 'push', 'x', '--epoch', '1'],
        ['model', 'push', 'x', '--epoch', '1', '--samples', '0'],
        ['rpc'],
        ['rpc', 'node_info', '{'],
        ['rpc', 'node_info', '1'],
      ];
      for (const argv of wrong) {
        const outcome = await starling(...argv);
        assert.deepEqual([argv, outcome.code, outcome.stdout], [argv, 2, '']);
        assert.match(outcome.stderr, /error BAD_USAGE: /);
        const quiet = await starling(...argv, '--json');
        assert.equal(quiet.code, 2);
        assert.equal(document(quiet).error?.code, 'BAD_USAGE');
      }
    });

    it('is 1 for a failure, with code, field, peer, phase and fix', async () => {
      const outcome = await starling('rpc', 'peers_dial', '["/ip4/192.0.2.1/tcp/9"]');
      assert.deepEqual(outcome, {
        code: 1,
        stdout: '',
        stderr: 'error UNREACHABLE: nobody there\n  phase: dial\n  peer: /ip4/192.0.2.1/tcp/9\n  fix: check it\n',
      });
      const quiet = await starling('rpc', 'peers_dial', '["/ip4/192.0.2.1/tcp/9"]', '--json');
      assert.deepEqual(document(quiet), {
        error: { code: 'UNREACHABLE', message: 'nobody there', peer: '/ip4/192.0.2.1/tcp/9', phase: 'dial', fix: 'check it' },
      });
    });

    it('is 1 where no daemon runs, and says how to start one', async () => {
      const { code, stderr } = await starling('status', '--data', join(data, 'elsewhere'));
      assert.equal(code, 1);
      assert.match(stderr, new RegExp(`DAEMON_DOWN.*\\n.*\\n  fix: start it with: starling daemon --data ${join(data, 'elsewhere')}`));
    });

    it('is 1 when the ledger does not verify, after the report', async () => {
      assert.equal((await starling('ledger', 'verify')).code, 0);
      node.ledgerOk = false;
      const outcome = await starling('ledger', 'verify', '--json');
      assert.equal(outcome.code, 1);
      assert.equal(document(outcome).ok, false);
    });

    it('is 1 for configuration that is wrong, before anything starts', async () => {
      writeFileSync(join(data, 'config.toml'), 'api_prot = 1\n');
      const { code, stderr } = await starling('daemon');
      assert.equal(code, 1);
      assert.match(stderr, /BAD_CONFIG.*api_prot[\s\S]*did you mean api_port\?/);
      const swarm = await starling('swarm', 'create', '--config', join(data, 'nowhere.toml'));
      assert.equal(swarm.code, 1);
      assert.match(swarm.stderr, /BAD_CONFIG/);
    });
  });

  describe('--json', () => {
    const commands: readonly (readonly string[])[] = [
      ['status'],
      ['peers'],
      ['epochs'],
      ['swarm', 'show'],
      ['ledger', 'list'],
      ['ledger', 'show', hash('1')],
      ['ledger', 'prove', hash('1')],
      ['ledger', 'verify'],
      ['ledger', 'checkpoint'],
      ['invite'],
      ['rpc', 'node_info'],
      ['init'],
    ];
    for (const argv of commands) {
      it(`${argv[0]} ${argv[1]?.slice(0, 8) ?? ''} prints one document, and text without it`, async () => {
        const json = await starling(...argv, '--json');
        assert.equal(json.code, 0, json.stderr);
        document(json);
        assert.equal(json.stdout.trim().split('\n').length, 1);
        assert.equal(json.stderr, '');
        const text = await starling('--data', data, ...argv);
        assert.equal(text.code, 0);
        assert.ok(text.stdout.length > 10);
      });
    }

    it('prints the bare result of rpc', async () => {
      assert.deepEqual(document(await starling('--json', 'rpc', 'trust_list')), [{ fingerprint: hash('a'), trust: 1, emaX: 0 }]);
    });
  });

  it('lists members with standing and vote', async () => {
    const { stdout } = await starling('swarm', 'show');
    const rows = stdout.split('\n').map((line) => line.split(/ +/));
    const from = rows.findIndex(([first]) => first === 'member');
    assert.deepEqual(rows.slice(from, from + 3), [
      ['member', 'class', 'status', 'vote', 'trust', 'joined', 'last'],
      [hash('a').slice(0, 12), 'core', 'active', 'voter', '1.0000', '0', '3'],
      [hash('b').slice(0, 12), 'edge', 'suspended', 'none', '0.0000', '2', '0'],
    ]);
  });

  it('prints an invite as the one line that a daemon takes, good for as long as it says', async () => {
    const before = Date.now();
    const printed = await starling('invite', '--vote', '--class', 'relay', '--expires', '12h', '--uses', '3');
    assert.deepEqual(printed, { code: 0, stdout: 'starling-invite-1.abc\n', stderr: '' });
    const [request] = node.invited;
    assert.deepEqual({ ...request, expiresMs: 0 }, { nodeClass: 'relay', vote: true, uses: 3, expiresMs: 0 });
    const span = (request?.expiresMs ?? 0) - before;
    assert.ok(span >= 12 * 3_600_000 && span < 12 * 3_600_000 + 60_000, String(span));
    await starling('invite');
    assert.deepEqual({ ...node.invited[1], expiresMs: 0 }, { nodeClass: 'core', vote: false, uses: 1, expiresMs: 0 });
    node.votes = false;
    assert.match((await starling('invite')).stderr, /error NOT_VOTER[\s\S]*fix: ask a voter/);
  });

  it('asks for the proof that the command line names, and writes it', async () => {
    const [note, out] = [join(data, 'held.note'), join(data, 'proof.json')];
    writeFileSync(note, 'older');
    await starling('ledger', 'prove', hash('1'), '--record', '--checkpoint', note);
    await starling('ledger', 'prove', '--event', '2');
    await starling('ledger', 'prove', '--block', '3');
    const written = await starling('ledger', 'prove', '--since', note, '--out', out, '--json');
    assert.deepEqual(node.asked, [
      { kind: 'record', id: hash('1'), checkpoint: 'older' },
      { kind: 'event', epoch: 2 },
      { kind: 'block', epoch: 3 },
      { kind: 'consistency', since: 'older' },
    ]);
    assert.deepEqual(document(written), { file: out, kind: 'consistency', swarm: hash('5') });
    const shown = await starling('ledger', 'prove', hash('1'));
    assert.equal(readFileSync(out, 'utf8'), shown.stdout);
    assert.equal((await starling('ledger', 'prove', '--since', `${note}x`)).code, 1);
    assert.equal((await starling('ledger', 'checkpoint', '--out', out)).code, 0);
    assert.equal(readFileSync(out, 'utf8'), (await starling('ledger', 'checkpoint')).stdout);
  });

  it('shows peers and epochs as aligned columns', async () => {
    const { stdout } = await starling('epochs', '--limit', '2');
    const [head, first, second, ...rest] = stdout.split('\n');
    assert.match(head ?? '', /^epoch +status +contributions +dropped +schedule +samples +decision/);
    assert.match(first ?? '', /^3 +provisional +1 +0 +gossip +10 +dddddddddddd/);
    assert.match(second ?? '', /^2 /);
    assert.deepEqual(rest, ['']);
    assert.match((await starling('peers')).stdout, /bbbbbbbbbbbb +12D3KooWfake +tcp +1\.5 ms +dht +outbound/);
  });

  it('watches epochs as they are applied, until interrupted', async () => {
    const applied = (epoch: number) => ({ ...node.epoch(), applied: { ...node.epoch().applied, epoch } });
    const asked: number[] = [];
    node.epochs = async () => [await node.epochAt(1)];
    node.waitEpoch = async (epoch) => {
      asked.push(epoch);
      if (epoch <= 3) return applied(3); // two epochs at once
      process.emit('SIGTERM', 'SIGTERM');
      return new Promise(() => {});
    };
    const outcome = await starling('epochs', '--watch', '--json');
    assert.equal(outcome.code, 0, outcome.stderr);
    assert.deepEqual(
      (document(outcome) as unknown as { epoch: number }[]).map(({ epoch }) => epoch),
      [1, 2, 3],
    );
    assert.deepEqual(asked, [2, 4]);
    assert.match(outcome.stderr, /^2 +provisional[\s\S]*^3 +provisional/m);
  });

  it('pulls and pushes a model', async () => {
    const file = join(data, 'model.safetensors');
    const pulled = document(await starling('model', 'pull', file, '--head', 'latest', '--json'));
    assert.deepEqual([pulled.epoch, pulled.modelRoot, pulled.bytes], [3, hash('e'), statSync(file).size]);
    const tensors = decodeSafetensors(new Uint8Array(readFileSync(file)), 10_000);
    assert.deepEqual(
      tensors.flatMap(({ values }) => [...values]),
      [...VALUES],
    );
    const pushed = await starling('model', 'push', file, '--epoch', '4', '--samples', '3', '--json');
    assert.equal(document(pushed).contributionId, hash('1'));
    assert.deepEqual(node.submissions[0]?.values, VALUES);
    assert.equal((await starling('model', 'push', file, '--epoch', '2', '--samples', '3')).code, 1);
    assert.match((await starling('model', 'push', `${file}x`, '--epoch', '4', '--samples', '3')).stderr, /error NOT_FOUND/);
  });

  it('init keeps what is there', async () => {
    const first = document(await starling('init', '--json'));
    writeFileSync(join(data, 'config.toml'), '# mine\n');
    const token = readFileSync(join(data, 'api.token'), 'utf8');
    assert.deepEqual(document(await starling('init', '--json')), first);
    assert.equal(readFileSync(join(data, 'config.toml'), 'utf8'), '# mine\n');
    assert.equal(readFileSync(join(data, 'api.token'), 'utf8'), token);
    assert.match(String(first.fingerprint), /^[0-9a-f]{64}$/);
  });

  it('leaves no signal handler behind', async () => {
    const before = process.listenerCount('SIGINT') + process.listenerCount('SIGTERM');
    await starling('peers');
    assert.equal(process.listenerCount('SIGINT') + process.listenerCount('SIGTERM'), before);
  });
});
