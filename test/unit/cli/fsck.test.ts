import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { main } from '../../../src/cli/main.ts';
import { dataFolderAt, lockDataFolder, openBlocks } from '../../../src/storage/index.ts';
import { type BlockRecord, encodeBlockRecord } from '../../../src/wire/index.ts';
import { furnish } from '../../support/dataFolder.ts';

class Sink extends Writable {
  text = '';
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}

describe('starling fsck', () => {
  let data: string;
  beforeEach(async () => {
    data = mkdtempSync(join(tmpdir(), 'starling-cli-fsck-'));
    await furnish(data);
  });
  afterEach(() => rmSync(data, { recursive: true }));

  async function starling(...argv: string[]) {
    const [stdout, stderr] = [new Sink(), new Sink()];
    const code = await main(argv, { stdout, stderr }, { STARLING_DATA: data });
    return { code, stdout: stdout.text, stderr: stderr.text };
  }
  function damage(): void {
    const { blocks: path } = dataFolderAt(data);
    const record = () => {
      using blocks = openBlocks(path);
      return Buffer.from(encodeBlockRecord(blocks.get(1) as BlockRecord));
    };
    const held = record();
    const bytes = readFileSync(path);
    const at = bytes.indexOf(held) + held.length - 40;
    bytes[at] = (bytes[at] as number) ^ 1;
    writeFileSync(path, bytes);
  }

  it('is 0 for a sound folder, in words and as one document', async () => {
    const words = await starling('fsck');
    assert.deepEqual([words.code, words.stderr], [0, '']);
    assert.match(words.stdout, /^ok +yes\nentries +8\nblocks +3\ncontents +2\n$/);
    const { code, stdout } = await starling('fsck', '--json');
    assert.equal(code, 0);
    assert.deepEqual(JSON.parse(stdout), { ok: true, data, problems: [], movedTo: null, entries: 8, blocks: 3, blobs: 2 });
  });

  it('is 1 while damage is there, which it names with the way out; 0 once all is repaired', async () => {
    damage();
    const words = await starling('fsck');
    assert.equal(words.code, 1);
    assert.match(words.stdout, /^where +kind +repaired +found$/m);
    assert.match(words.stdout, /^blocks\.db block 1 +row +no +/m);
    assert.match(words.stdout, /run `starling fsck --repair`/);
    const document = JSON.parse((await starling('fsck', '--json')).stdout);
    assert.equal(document.ok, false);
    for (const problem of document.problems) assert.deepEqual(Object.keys(problem).sort(), ['fix', 'kind', 'message', 'repaired', 'where']);

    const repaired = await starling('fsck', '--repair', '--json');
    assert.equal(repaired.code, 0);
    const { ok, problems, movedTo } = JSON.parse(repaired.stdout);
    assert.ok(ok && problems.length > 0 && problems.every((p: { repaired: boolean }) => p.repaired));
    assert.ok(movedTo.startsWith(join(data, 'damaged')));
    assert.equal((await starling('fsck')).code, 0);
  });

  it('is 1 where a daemon holds the folder, and says which', async () => {
    using lock = lockDataFolder(dataFolderAt(data).lock);
    assert.ok(lock);
    const { code, stderr } = await starling('fsck');
    assert.equal(code, 1);
    assert.match(stderr, new RegExp(`DATA_IN_USE.*pid ${process.pid}`));
  });
});
