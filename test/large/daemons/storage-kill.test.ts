import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { fsck } from '../../../src/node/fsck.ts';
import { dataFolderAt } from '../../../src/storage/index.ts';
import { foundFolder, openStores } from '../../support/dataFolder.ts';

/** With the kills of whole daemons more than fifty; a long run asks for more. */
const KILLS = Number(process.env.TEST_KILLS ?? 40);
/** Lines that a child prints at most before it is killed. */
const MAX_LINES = 100;
/** Ms. A start takes a second on a busy machine, and each check looks at all that was written so far. */
const LIMIT_MS = 60_000 + 4_000 * KILLS;

describe('storage under kill -9', function () {
  this.timeout(LIMIT_MS);
  const path = mkdtempSync(join(tmpdir(), 'starling-kill-'));
  let child: ChildProcess | undefined;
  after(() => {
    child?.kill('SIGKILL');
    rmSync(path, { recursive: true, force: true });
  });

  /** Runs the writer until it has printed some lines, and kills it wherever it is then. Returns all lines. */
  async function runAndKill(lines: number): Promise<string[]> {
    child = spawn(process.execPath, [fileURLToPath(new URL('./storageKillChild.ts', import.meta.url)), path], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const exited = once(child, 'exit');
    const said: string[] = [];
    // Lines still in the pipe count too: the child had printed them.
    for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
      if (said.push(line) === lines) child.kill('SIGKILL');
    }
    assert.deepEqual((await exited)[1], 'SIGKILL');
    assert.ok(said.length >= lines);
    return said;
  }

  it(`keeps all that it said was durable, ${KILLS} times over; fsck finds nothing but unfinished files; no vote is cast twice`, async () => {
    await foundFolder(path);
    const durable = new Set<string>();
    const votes = new Map<number, string>();
    for (let kill = 0; kill < KILLS; kill++) {
      for (const line of await runAndKill(randomInt(1, MAX_LINES))) {
        const [what, number, value] = line.split(' ');
        if (what !== 'vote') durable.add(line);
        else {
          assert.ok(!votes.has(Number(number)), `vote ${number} was cast twice`);
          votes.set(Number(number), value as string);
        }
      }
      // It takes the lock: a dead process holds none.
      const report = await fsck(path, { repair: true, atMs: kill });
      assert.ok(report.ok);
      assert.deepEqual(
        report.problems.filter(({ kind }) => kind !== 'unfinished'),
        [],
        `after kill ${kill + 1}`,
      );

      using stores = openStores(dataFolderAt(path));
      const { entries, blocks, blobs, store } = stores;
      for (const line of durable) {
        const [what, id, hash] = line.split(' ') as [string, string, string | undefined];
        const isThere = {
          entry: () => entries.has(id),
          block: () => blocks.get(Number(id))?.block.hash === hash,
          blob: () => blobs.has(id),
        };
        assert.ok(await isThere[what as keyof typeof isThere](), `${line} is gone after kill ${kill + 1}`);
      }
      const [number, value] = Buffer.from(store.get('vote') ?? '0')
        .toString()
        .split(' ');
      const sent = Math.max(0, ...votes.keys());
      assert.ok(Number(number) === sent || Number(number) === sent + 1, `vote ${sent} was sent, ${number} is on disk`);
      if (Number(number) === sent && sent > 0) assert.equal(value, votes.get(sent));
    }
    for (const what of ['entry', 'block', 'blob'])
      assert.ok(
        [...durable].some((line) => line.startsWith(what)),
        `no ${what} was written`,
      );
    assert.ok(votes.size > KILLS);
  });
});
