import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { contentOf } from '../../src/crypto/index.ts';
import { checkEntry, LedgerGraph } from '../../src/ledger/index.ts';
import { lockDataFolder, openBlobStore, openLedger, prepareDataFolder } from '../../src/storage/index.ts';

const KILLS = 25;

describe('storage under kill -9', function () {
  this.timeout(120_000);
  const path = mkdtempSync(join(tmpdir(), 'starling-kill-'));
  let child: ChildProcess | undefined;
  after(() => {
    child?.kill('SIGKILL');
    rmSync(path, { recursive: true, force: true });
  });

  /** Runs the writer until it has printed some lines, and kills it wherever it is then. */
  async function runAndKill(lines: number, durable: Set<string>): Promise<void> {
    child = spawn(process.execPath, [fileURLToPath(new URL('./storageKillChild.ts', import.meta.url)), path], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const exited = once(child, 'exit');
    let seen = 0;
    // Lines still in the pipe count too: the child had printed them.
    for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
      durable.add(line);
      seen += 1;
      if (seen === lines) child.kill('SIGKILL');
    }
    assert.deepEqual((await exited)[1], 'SIGKILL');
    assert.ok(seen >= lines);
  }

  it(`keeps all that it said was durable, ${KILLS} times over`, async () => {
    const durable = new Set<string>();
    const checked = new Set<string>();
    const folder = prepareDataFolder(path);
    for (let kill = 0; kill < KILLS; kill++) {
      await runAndKill(randomInt(1, 300), durable);
      using lock = lockDataFolder(folder.lock);
      assert.ok(lock, 'a dead process holds no lock');

      using ledger = openLedger(folder.ledger);
      const graph = new LedgerGraph();
      for (const entry of ledger.all()) {
        if (!checked.has(entry.id)) {
          const context = {
            swarm: '0'.repeat(64),
            get: (id: string) => graph.get(id),
            certificateOf: (author: string) => graph.certificateOf(author),
          };
          assert.deepEqual(checkEntry(entry, context), { kind: 'accept' });
          checked.add(entry.id);
        }
        graph.add(entry);
      }
      assert.deepEqual(graph.forks(), [], 'the writer went on from what was there');

      const blobs = openBlobStore(folder.blobs);
      for (const line of durable) {
        const [what, id] = line.split(' ') as [string, string];
        assert.ok(what === 'entry' ? graph.has(id) : await blobs.has(id), `${line} is gone after kill ${kill + 1}`);
      }
      for (const shelf of readdirSync(folder.blobs).filter((name) => name.length === 2)) {
        for (const root of readdirSync(join(folder.blobs, shelf))) {
          assert.equal(contentOf(readFileSync(join(folder.blobs, shelf, root))).root, root, 'a torn file');
        }
      }
    }
    assert.ok([...durable].some((line) => line.startsWith('blob ')));
  });
});
