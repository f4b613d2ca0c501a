import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const REPOSITORY = fileURLToPath(new URL('../../', import.meta.url));

describe('the installed package', () => {
  let project: string;
  let installed: string;

  const starling = (...args: string[]): string =>
    execFileSync(process.execPath, [join(installed, 'scripts/starling.js'), ...args], { cwd: project, encoding: 'utf8' });

  /** As `npm install starling` lays it out: what `files` names, under node_modules, beside its dependencies. */
  before(function () {
    this.timeout(60_000);
    project = realpathSync(mkdtempSync(join(tmpdir(), 'starling-installed-')));
    installed = join(project, 'node_modules/starling');
    mkdirSync(installed, { recursive: true });
    const manifest = JSON.parse(readFileSync(join(REPOSITORY, 'package.json'), 'utf8'));
    for (const file of ['package.json', ...manifest.files.filter((name: string) => name !== 'dist')])
      if (existsSync(join(REPOSITORY, file))) cpSync(join(REPOSITORY, file), join(installed, file), { recursive: true });
    const tsc = join(REPOSITORY, 'node_modules/.bin/tsc');
    execFileSync(tsc, ['-p', join(REPOSITORY, 'tsconfig.build.json'), '--outDir', join(installed, 'dist')], { stdio: 'inherit' });
    for (const name of readdirSync(join(REPOSITORY, 'node_modules')))
      symlinkSync(join(REPOSITORY, 'node_modules', name), join(project, 'node_modules', name));
  });

  after(() => rmSync(project, { recursive: true }));

  it('runs from dist, where Node strips no types', () => {
    const { version } = JSON.parse(readFileSync(join(REPOSITORY, 'package.json'), 'utf8'));
    assert.equal(starling('--version').trim(), version);
    assert.equal(existsSync(join(installed, 'src')), false);
  });

  it('makes a data folder ready, with the files it ships', () => {
    starling('--data', join(project, 'data'), 'init');
    assert(readdirSync(join(project, 'data')).length > 0);
  });
});
