import assert from 'node:assert/strict';
import { closeSync, existsSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { createSwarm } from '../../src/node/create.ts';
import { loadSwarmConfig } from '../../src/node/swarmConfig.ts';
import { dataFolderAt } from '../../src/storage/index.ts';
import { contribute, type Daemon, type LogLine, Nest, until } from '../support/daemons.ts';

const CONTRIBUTORS = ['founder', 'second', 'third', 'fourth'];
/** Ms for an epoch to become final everywhere, and for all replicas to be looked at, on a busy machine. */
const EPOCH_MS = 30_000;

describe('an observer beside four daemons', function () {
  this.timeout(3 * EPOCH_MS);
  let nest: Nest;
  let daemons: Daemon[];
  let observer: Daemon;

  before(async () => {
    nest = new Nest();
    const config = join(nest.folder, 'swarm.toml');
    const rules = ['name = "watched"', 'voting = "open"', 'epoch_deadline_ms = 1_000', 'min_deadline_ms = 100'];
    writeFileSync(config, [...rules, '[model]', 'kind = "mlp"', 'layers = [4, 3, 2]', ''].join('\n'));
    await createSwarm(nest.data('founder'), loadSwarmConfig(config));
    const founder = await nest.daemon('founder');
    const bootstrap = ['--bootstrap', founder.address];
    const others = await Promise.all(CONTRIBUTORS.slice(1).map((name) => nest.daemon(name, ...bootstrap)));
    daemons = [founder, ...others];
    observer = await nest.daemon('observer', ...bootstrap, '--class', 'observer');
    await Promise.all(daemons.map(({ client }) => client.call('trainer_attach', { name: 'test' })));
    const all = [...daemons, observer];
    await until(
      () => `all are members and know all trainers; the observer says:\n${observer.process.tail}`,
      async () => {
        const views = await Promise.all(all.map(({ client }) => Promise.all([client.call('swarm_info'), client.call('epoch_current')])));
        const heads = new Set(views.map(([, { finalized }]) => finalized.decision));
        return (
          heads.size === 1 && views.every(([{ members }, now]) => members.length === all.length && now.activeTrainers === daemons.length)
        );
      },
      EPOCH_MS,
    );
  });
  after(() => nest.end());

  /** Resolves with the epoch of the newest block once that is the same for all. */
  const agreed = (after: number): Promise<number> =>
    until(
      () => `all have the same block after ${after}; the observer says:\n${observer.process.tail}`,
      async () => {
        const all = await Promise.all([...daemons, observer].map(({ client }) => client.call('epoch_current')));
        const [epoch] = all.map(({ finalized }) => finalized.epoch) as [number];
        return epoch > after && all.every(({ finalized }) => finalized.epoch === epoch) ? epoch : undefined;
      },
      EPOCH_MS,
    );

  /** One more block, with a contribution of each of the four. */
  async function nextBlock(): Promise<number> {
    const before = await agreed(0);
    await Promise.all(daemons.map(({ client }) => contribute(client)));
    return await agreed(before);
  }

  /** What the observer says of a node, once it says it. */
  const named = (daemon: Daemon, field: string): Promise<LogLine> =>
    observer.process.logged({ code: 'DIVERGED', node: daemon.info.fingerprint, field }, EPOCH_MS);

  const quarantined = async (): Promise<(string | null)[]> =>
    (await observer.client.call('peers_list')).filter(({ quarantine }) => quarantine !== null).map(({ fingerprint }) => fingerprint);

  it('names the one whose ledger was altered on its disk while it ran', async () => {
    await nextBlock();
    const altered = daemons[1] as Daemon;
    const entry = (await altered.client.call('ledger_list', { from: 0, limit: 100 })).find(({ kind }) => kind === 'verdict');
    assert.ok(entry);
    assert.deepEqual(await quarantined(), []);
    flipInside(dataFolderAt(altered.data).ledger, entry.id);

    const next = await nextBlock();
    const line = await named(altered, 'entries');
    assert.ok((line.sinceEpoch as number) <= next, 'by the next block, or before it');
    assert.match(String(line.where), new RegExp(`leaf ${entry.index}, entry ${entry.id}`));
    assert.ok((line.noticedMs as number) > 0);
    assert.deepEqual(await quarantined(), [altered.info.fingerprint]);
    // It reads the same disk, so it knows by now too.
    await altered.process.logged({ code: 'DATA_CORRUPT', where: line.where });
    const status = JSON.parse((await nest.run('status', '--json', '--data', observer.data)).stdout);
    const { sinceEpoch, field, where } = line;
    assert.deepEqual(status.quarantined, [{ fingerprint: altered.info.fingerprint, field, where, sinceEpoch }]);
  });

  it('names the one whose model was altered, unless it has found that itself, and goes on with the others', async () => {
    const altered = daemons[2] as Daemon;
    const before = await quarantined();
    const { genesis } = await altered.client.call('swarm_info');
    const root = genesis.initialModelRoot as string;
    const blob = join(dataFolderAt(altered.data).blobs, root.slice(0, 2), root);
    const bytes = readFileSync(blob);
    overwrite(blob, bytes.byteLength >> 1, (bytes[bytes.byteLength >> 1] as number) ^ 1);

    const next = await nextBlock();
    // The node reads that file too, now and then: where it is the first to look, it removes what has rotted, and nobody is named.
    const isGone = () => !existsSync(blob);
    const isNamed = async () => (await quarantined()).includes(altered.info.fingerprint);
    await until(
      () => 'the observer names it, or the node has found it itself',
      async () => isGone() || (await isNamed()),
      EPOCH_MS,
    );
    if (await isNamed()) {
      const line = await named(altered, 'content');
      assert.ok((line.sinceEpoch as number) <= next);
      assert.match(String(line.where), new RegExp(`content ${root}, chunk 0`));
      assert.deepEqual((await quarantined()).sort(), [...before, altered.info.fingerprint].sort());
    }
    assert.ok((await nextBlock()) > next);
  });
});

/** Flips a bit in the core of an entry, in the file itself: neither SQLite nor the daemon takes part in it. */
function flipInside(path: string, id: string): void {
  const db = new DatabaseSync(path);
  // Into the file with what the log holds: it alone is read then.
  db.exec('PRAGMA wal_checkpoint(TRUNCATE)');
  const { core } = db.prepare('SELECT core FROM entry WHERE id = ?').get(Buffer.from(id, 'hex')) as { core: Uint8Array };
  db.close();
  const file = readFileSync(path);
  // Where pages were split, copies that nothing reads may be left.
  let found = 0;
  for (let at = file.indexOf(core); at >= 0; at = file.indexOf(core, at + 1), found++)
    overwrite(path, at + 40, (file[at + 40] as number) ^ 1);
  assert.ok(found > 0, 'the core stands in the file as a whole');
}

function overwrite(path: string, at: number, byte: number): void {
  const file = openSync(path, 'r+');
  writeSync(file, Uint8Array.of(byte), 0, 1, at);
  closeSync(file);
}
