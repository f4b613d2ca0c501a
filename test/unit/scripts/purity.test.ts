import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkPurity, findImpurities } from '../../../scripts/check-purity.js';

const impurities = (source: string, exact = false): string[] => findImpurities(source, exact).map(({ what }) => what);

describe('purity check', () => {
  for (const [source, what] of [
    ['const t = Date.now();', 'a clock'],
    ['const t = new Date();', 'a clock'],
    ['const t = performance.now();', 'a clock'],
    ['setTimeout(f, 5);', 'a timer'],
    ['const x = Math.random();', 'randomness'],
    [`import { randomBytes } from 'node:crypto';`, 'randomness'],
    ['crypto.getRandomValues(key);', 'randomness'],
    ['const keys = ml_dsa65.keygen();', 'randomness'],
    ['const home = process.env.HOME;', 'the process'],
    ['const { env } = process;', 'the process'],
    [`await fetch('http://x');`, 'the network'],
    ['names.sort((a, b) => a.localeCompare(b));', 'the locale'],
    [`const text = \`at \${Date.now()}\`;`, 'a clock'],
  ] as const) {
    it(`sees ${what} in: ${source}`, () => assert.deepEqual(impurities(source), [what]));
  }

  it('passes comments, strings and names that only look alike', () => {
    for (const source of [
      '// Date.now() would differ by node',
      '/* not\n Math.random */',
      `const fix = 'set the Date, then process.exit()';`,
      `const url = 'http://example.com'; // setTimeout`,
      'const candidateDate2 = update.process(entry);',
      'const { processed } = reprocess;',
      'const keys = ml_dsa65.keygen(seed);',
      `const a = "it's"; const b = "Date";`,
    ])
      assert.deepEqual(impurities(source), [], source);
  });

  it('counts rounding only where it decides, and a power of two never', () => {
    assert.deepEqual(impurities('const x = Math.exp(y) + y ** 3;', true).length, 2);
    assert.deepEqual(impurities('const x = Math.exp(y) + y ** 3;', false), []);
    assert.deepEqual(impurities('const x = 2 ** y + Math.sqrt(y) + Math.abs(y);', true), []);
  });

  it('names file and line, in the pure rooms alone', () => {
    const root = mkdtempSync(join(tmpdir(), 'starling-purity-'));
    try {
      for (const room of ['wire', 'storage', 'state/validate']) {
        mkdirSync(join(root, 'src', room), { recursive: true });
        writeFileSync(join(root, 'src', room, 'clock.ts'), '/* a\n comment */\nexport const now = () => Date.now();\n');
      }
      assert.deepEqual(checkPurity(root), [
        'src/state/validate/clock.ts:3: a pure room reaches a clock: export const now = () => Date.now();',
        'src/wire/clock.ts:3: a pure room reaches a clock: export const now = () => Date.now();',
      ]);
    } finally {
      rmSync(root, { recursive: true });
    }
  });
});
