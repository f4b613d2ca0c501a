import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const REPOSITORY = fileURLToPath(new URL('../../../', import.meta.url));
const DEPCRUISE = join(REPOSITORY, 'node_modules/dependency-cruiser/bin/dependency-cruiser.mjs');

/** A file that must not be, and the rules it breaks. */
const PLANTED: readonly (readonly [file: string, code: string, broken: readonly string[]])[] = [
  ['src/spec/up.ts', `import type { Fine } from '../wire/fine.ts';`, ['down-from-spec']],
  ['src/network/up.ts', `import { fine } from '../api/fine.ts'; fine;`, ['down-from-network']],
  ['src/wire/circle.ts', `import type { B } from './circle2.ts'; export type A = B;`, ['no-circles']],
  ['src/cellar/new.ts', `import { fine } from '../wire/fine.ts'; fine;`, ['known-rooms']],
  ['src/cli/cellar.ts', `import '../cellar/new.ts';`, ['to-known-rooms']],
  ['src/node/tests.ts', `import '../../test/helper.ts';`, ['src-stands-alone']],
  ['src/state/fastify.ts', `import type { FastifyInstance } from 'fastify'; export type X = FastifyInstance;`, ['pure-packages']],
  ['src/wire/libp2p.ts', `import { createLibp2p } from 'libp2p'; createLibp2p;`, ['pure-packages', 'libp2p-in-network']],
  ['src/aggregation/gpu.ts', `export const gpu = () => import('gpu.js');`, ['pure-packages', 'gpu-in-compute']],
  ['src/crypto/disk.ts', `import { readFileSync } from 'node:fs'; readFileSync;`, ['pure-hashing']],
  ['src/ledger/net.ts', `import net from 'node:net'; net;`, ['pure-core']],
  ['src/consensus/random.ts', `import { randomBytes } from 'crypto'; randomBytes;`, ['pure-core']],
  ['src/aggregation/kernel.ts', `import { fine } from '../compute/fine.ts'; fine;`, ['pure-compute']],
  ['src/epoch/disk.ts', `import { DatabaseSync } from 'node:sqlite'; DatabaseSync;`, ['epoch-through-ports', 'sqlite-in-storage']],
  [
    'src/epoch/libp2p.ts',
    `import type { PeerId } from '@libp2p/interface'; export type P = PeerId;`,
    ['epoch-through-ports', 'libp2p-in-network', 'declared'],
  ],
  ['src/storage/rules.ts', `import { fine } from '../state/fine.ts'; fine;`, ['adapters-know-no-rules']],
  ['src/api/wires.ts', `import { fine } from '../network/fine.ts'; fine;`, ['one-place-constructs']],
  ['src/cli/stores.ts', `import { fine } from '../storage/fine.ts'; fine;`, ['one-place-stores']],
  ['src/network/stores.ts', `import { fine } from '../storage/fine.ts'; fine;`, ['one-place-stores']],
  ['src/cli/nowhere.ts', `import './nowhere2.ts';`, ['resolvable']],
  ['src/cli/bench.ts', `import { Bench } from 'tinybench'; Bench;`, ['shipped-dependencies']],
];

/** What breaks nothing. */
const ALLOWED: readonly (readonly [file: string, code: string])[] = [
  // The other half of a circle, which is reported once.
  ['src/wire/circle2.ts', `import type { A } from './circle.ts'; export type B = A;`],
  ['test/helper.ts', `import { fine } from '../src/network/fine.ts'; fine;`],
  ['src/compute/api.ts', `export type Compute = { close(): void };`],
  ['src/consensus/compute.ts', `import type { Compute } from '../compute/api.ts'; export type C = Compute;`],
  ['src/compute/gpu.ts', `export const gpu = () => import('gpu.js');`],
  ['src/crypto/hash.ts', `import { hash } from 'node:crypto'; import { concat } from 'uint8arrays'; hash; concat;`],
  ['src/wire/zip.ts', `import { zstdCompressSync } from 'node:zlib'; zstdCompressSync;`],
  [
    'src/storage/disk.ts',
    `import { DatabaseSync } from 'node:sqlite'; import { readFileSync } from 'node:fs'; DatabaseSync; readFileSync;`,
  ],
  ['src/network/host.ts', `import { createLibp2p } from 'libp2p'; import { tcp } from '@libp2p/tcp'; createLibp2p; tcp;`],
  ['src/cli/doctor/checks.ts', `export const loads = () => Promise.all([import('node:sqlite'), import('@chainsafe/libp2p-quic')]);`],
  ['src/node/daemon.ts', `import { fine } from '../network/fine.ts'; import { fine as f } from '../storage/fine.ts'; fine; f;`],
  ...['wire', 'api', 'network', 'storage', 'state', 'compute'].map((room) => {
    return [`src/${room}/fine.ts`, 'export const fine = 1; export type Fine = 1;'] as const;
  }),
];

interface Violation {
  readonly from: string;
  readonly rule: { readonly name: string };
}

describe('import rules', () => {
  let folder: string;
  let violations: readonly Violation[];

  before(() => {
    folder = realpathSync(mkdtempSync(join(tmpdir(), 'starling-imports-')));
    for (const name of ['package.json', 'tsconfig.json', '.dependency-cruiser.cjs'])
      copyFileSync(join(REPOSITORY, name), join(folder, name));
    symlinkSync(join(REPOSITORY, 'node_modules'), join(folder, 'node_modules'));
    for (const [file, code] of [...PLANTED, ...ALLOWED]) {
      mkdirSync(dirname(join(folder, file)), { recursive: true });
      writeFileSync(join(folder, file), code);
    }
    const json = execFileSync(process.execPath, [DEPCRUISE, '--output-type', 'json', 'src', 'test'], { cwd: folder, encoding: 'utf8' });
    violations = JSON.parse(json).summary.violations;
  });

  after(() => rmSync(folder, { recursive: true }));

  for (const [file, , broken] of PLANTED) {
    it(`${file} breaks ${broken.join(' and ')}`, () => {
      const found = new Set(violations.filter((violation) => violation.from === file).map((violation) => violation.rule.name));
      assert.deepEqual([...found].sort(), [...broken].sort());
    });
  }

  it('breaks nothing else', () => {
    const allowed = new Set(ALLOWED.map(([file]) => file));
    assert.deepEqual(
      violations.filter(({ from }) => allowed.has(from)),
      [],
    );
  });
});
