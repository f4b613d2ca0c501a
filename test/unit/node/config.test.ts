import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { type DaemonLayer, loadDaemonConfig } from '../../../src/node/config.ts';
import { editDistance } from '../../../src/node/configKeys.ts';
import { makeGenesis } from '../../../src/node/genesis.ts';
import { DEFAULT_SWARM_CONFIG, loadSwarmConfig } from '../../../src/node/swarmConfig.ts';
import { StarlingError } from '../../../src/spec/index.ts';
import { encodeInviteToken, makeInvite } from '../../../src/wire/index.ts';
import { identityNamed } from '../../support/finalChain.ts';

const refuses = (load: () => unknown, field: string, said: RegExp) =>
  assert.throws(load, (error: unknown) => {
    assert.ok(error instanceof StarlingError, String(error));
    assert.equal(error.code, 'BAD_CONFIG');
    assert.equal(error.facts.field, field);
    assert.match(`${error.message}\n${error.facts.fix}`, said);
    return true;
  });

describe('configuration', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'starling-config-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));
  const toml = (text: string, name = 'config.toml') => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };

  describe('of a daemon', () => {
    const load = (flags: DaemonLayer = {}, environment: NodeJS.ProcessEnv = {}) => loadDaemonConfig(folder, flags, environment);

    it('has defaults', () => {
      assert.deepEqual(load(), {
        data: folder,
        bootstrap: [],
        listen: ['/ip4/0.0.0.0/tcp/7740', '/ip4/0.0.0.0/udp/7740/quic-v1'],
        apiPort: 7747,
        class: 'core',
        compute: { backend: 'auto' },
        log: { level: 'info' },
      });
    });

    it('lets each layer override the one below, and only where it says something', () => {
      toml('api_port = 1\nclass = "edge"\nlisten = ["/ip4/127.0.0.1/tcp/1"]\n[compute]\nbackend = "ts"\n[log]\nlevel = "warn"\n');
      const environment = { STARLING_API_PORT: '2', STARLING_CLASS: 'relay', STARLING_COMPUTE_BACKEND: 'webasm', PATH: '/bin' };
      const config = load({ api_port: 3, class: undefined }, environment);
      assert.deepEqual([config.apiPort, config.class, config.compute.backend, config.log.level], [3, 'relay', 'webasm', 'warn']);
      assert.deepEqual(config.listen, ['/ip4/127.0.0.1/tcp/1']);
    });

    it('bounds uploads where somebody says so: in the file, the environment or a flag, and never below one chunk in the time for it', () => {
      assert.equal(load().uploadKbit, undefined);
      assert.equal(load({}, { STARLING_UPLOAD_KBIT: '20000' }).uploadKbit, 20_000);
      toml('upload_kbit = 5000\n');
      assert.deepEqual([load().uploadKbit, load({ upload_kbit: 8_000 }).uploadKbit], [5_000, 8_000]);
      for (const bad of ['999', '0', '-5', 'fast', '1e6'])
        refuses(() => load({}, { STARLING_UPLOAD_KBIT: bad }), 'upload_kbit', /environment/);
    });

    it('takes a list from the environment, separated by commas', () => {
      assert.deepEqual(load({}, { STARLING_BOOTSTRAP: '/ip4/192.0.2.1/tcp/1, /ip4/192.0.2.2/tcp/2,' }).bootstrap, [
        '/ip4/192.0.2.1/tcp/1',
        '/ip4/192.0.2.2/tcp/2',
      ]);
      assert.equal(load({}, { STARLING_SWARM: 'a'.repeat(64) }).swarm, 'a'.repeat(64));
    });

    it('reads an invite where it is given, and says what is none before anything starts', () => {
      const identity = identityNamed('voter');
      const invite = makeInvite(
        { swarm: 'a'.repeat(64), nodeClass: 'core', vote: true, expiresMs: 10, uses: 1, nonce: 'b'.repeat(32) },
        identity,
      );
      const token = encodeInviteToken(invite);
      assert.deepEqual(load({ invite: token }).invite, invite);
      assert.deepEqual(load({}, { STARLING_INVITE: token }).invite, invite);
      assert.throws(() => load({ invite: token.slice(0, -9) }), { code: 'BAD_INVITE' });
    });

    it('refuses unknown keys in every layer, naming the nearest valid one', () => {
      toml('api_prot = 1\n');
      refuses(() => load(), 'api_prot', /config\.toml[\s\S]*did you mean api_port\?/);
      toml('[compute]\nbakend = "ts"\n');
      refuses(() => load(), 'compute.bakend', /did you mean compute\.backend\?/);
      toml('');
      refuses(() => load({}, { STARLING_LOGLEVEL: 'info' }), 'STARLING_LOGLEVEL', /environment[\s\S]*did you mean STARLING_LOG_LEVEL\?/);
    });

    it('refuses wrong values, naming layer and key, even one that a higher layer overrides', () => {
      toml('api_port = 65536\n');
      refuses(() => load({ api_port: 1 }), 'api_port', /config\.toml/);
      toml('class = ');
      refuses(() => load(), join(folder, 'config.toml'), /not TOML/);
      toml('');
      refuses(() => load({}, { STARLING_API_PORT: '77 47' }), 'api_port', /environment/);
      refuses(() => load({ swarm: 'abc' }), 'swarm', /command line/);
      refuses(() => load({ bootstrap: ['192.0.2.1:7740'] }), 'bootstrap.0', /multiaddr/);
    });
  });

  describe('of a swarm', () => {
    it('reads configs/default.toml: the digits model, with the defaults of the schema', () => {
      const shipped = loadSwarmConfig(DEFAULT_SWARM_CONFIG);
      assert.deepEqual(shipped.model, { kind: 'mlp', layers: [64, 32, 10], seed: 1 });
      const bare = loadSwarmConfig(toml('name = "digits"\n[model]\nkind = "mlp"\nlayers = [64, 32, 10]\n', 'swarm.toml'));
      assert.deepEqual(bare, shipped);
    });

    it('takes tensors with initial values beside the file', () => {
      const path = toml(
        'name = "t"\nscale_exponent = [-8]\n[model]\nkind = "tensors"\ninitial = "w.safetensors"\n[[model.tensors]]\nname = "w"\nshape = [2, 3]\n',
        'swarm.toml',
      );
      const { model, scaleExponent } = loadSwarmConfig(path);
      assert.deepEqual(model, { kind: 'tensors', tensors: [{ name: 'w', shape: [2, 3] }], initial: join(folder, 'w.safetensors') });
      assert.deepEqual(scaleExponent, [-8]);
    });

    it('puts encoding and share into the genesis', () => {
      const path = toml('name = "t"\nencoding = "topk"\ntopk_share = 0.1\n[model]\nkind = "mlp"\nlayers = [2, 2]\n', 'swarm.toml');
      const { encoding, topkShare } = makeGenesis(loadSwarmConfig(path), [{ name: 'w', shape: [2] }], new Float32Array(2), [], 0);
      assert.deepEqual([encoding, topkShare], ['topk', 0.1]);
    });

    it('refuses what no swarm could run with, naming the key', () => {
      const head = 'name = "t"\n';
      const mlp = '[model]\nkind = "mlp"\nlayers = [2, 2]\n';
      const cases: readonly [string, string, RegExp][] = [
        [`${head}clipnorm = 1\n${mlp}`, 'clipnorm', /did you mean clip_norm\?/],
        [`${head}eta = 0\n${mlp}`, 'eta', /swarm\.toml/],
        [`${head}dtype = "f32"\n${mlp}`, 'dtype', /swarm\.toml/],
        [`${head}encoding = "fourier"\n${mlp}`, 'encoding', /swarm\.toml/],
        [`${head}encoding = "topk"\ntopk_share = 0\n${mlp}`, 'topk_share', /swarm\.toml/],
        [`${head}encoding = "topk"\naggregation = "trimmed-mean"\n${mlp}`, 'encoding', /multi-krum/],
        [`${head}topk_share = 1.5\n${mlp}`, 'topk_share', /swarm\.toml/],
        [`${head}min_deadline_ms = 20000\n${mlp}`, 'min_deadline_ms', /at most 10000/],
        [`${head}[model]\nkind = "cnn"\n`, 'model.kind', /swarm\.toml/],
        [`${head}[model]\nkind = "mlp"\nlayers = [2]\n`, 'model.layers', /swarm\.toml/],
        [mlp, 'name', /swarm\.toml/],
      ];
      for (const [text, field, said] of cases) refuses(() => loadSwarmConfig(toml(text, 'swarm.toml')), field, said);
    });
  });

  it('measures how far two words are apart', () => {
    // Wagner and Fischer, The String-to-String Correction Problem (1974): the usual example.
    assert.equal(editDistance('kitten', 'sitting'), 3);
    fc.assert(
      fc.property(fc.string({ maxLength: 8 }), fc.string({ maxLength: 8 }), fc.string({ maxLength: 8 }), (a, b, c) => {
        assert.equal(editDistance(a, b), editDistance(b, a));
        assert.equal(editDistance(a, b) === 0, a === b);
        assert.ok(editDistance(a, c) <= editDistance(a, b) + editDistance(b, c));
      }),
    );
  });
});
