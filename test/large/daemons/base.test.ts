import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { CheckpointView } from '../../../src/api/service.ts';
import { StarlingError } from '../../../src/spec/index.ts';
import { dataFolderAt, openBlocks, openLedger } from '../../../src/storage/index.ts';
import { contribute, type Daemon, Nest, until } from '../../support/daemons.ts';

const NAMES = ['first', 'second', 'third'] as const;
const [SNAPSHOT, RETAIN] = [2, 4];
/** Ms until something happens that must happen at some time, on a machine that runs a dozen processes. */
const SOME_TIME_MS = 60_000;

describe('a swarm that keeps four epochs whole', function () {
  this.timeout(4 * SOME_TIME_MS);
  let nest: Nest;
  let daemons: Daemon[];
  let early: CheckpointView;
  const at = (i: number): Daemon => daemons[i] as Daemon;
  const finalOf = async ({ client }: Daemon): Promise<number> => (await client.call('epoch_current')).finalized.epoch;

  /** Contributes at these daemons until all of them hold block `epoch`. */
  const learnTo = (epoch: number, who: readonly Daemon[]): Promise<true> =>
    until(
      () => `block ${epoch} is final on all; they say:\n${who.map((one) => one.process.tail.slice(-600)).join('\n')}`,
      async () => {
        await Promise.all(
          who.map((one) =>
            contribute(one.client).catch((error: unknown) => {
              if (!(error instanceof StarlingError)) throw error;
            }),
          ),
        );
        return (await Promise.all(who.map(finalOf))).every((reached) => reached >= epoch);
      },
      SOME_TIME_MS,
    );

  async function assertAlike(epoch: number): Promise<void> {
    const views = await Promise.all(daemons.map(({ client }) => client.call('epoch_get', { epoch })));
    assert.equal(new Set(views.map(({ decision, modelRoot, stateRoot }) => `${decision} ${modelRoot} ${stateRoot}`)).size, 1);
  }

  before(async () => {
    nest = new Nest();
    const rules = ['voting = "open"', `snapshot_epochs = ${SNAPSHOT}`, `retain_epochs = ${RETAIN}`];
    await nest.found(NAMES[0], undefined, ...rules);
    daemons = [await nest.daemon(NAMES[0])];
    daemons.push(...(await Promise.all(NAMES.slice(1).map((name) => nest.daemon(name, '--bootstrap', at(0).address)))));
    await until(
      () => 'all three vote',
      async () => (await Promise.all(daemons.map(({ client }) => client.call('swarm_info')))).every(({ seats }) => seats === NAMES.length),
      SOME_TIME_MS,
    );
    await learnTo((await finalOf(at(0))) + 1, daemons);
    early = await at(0).client.call('ledger_checkpoint');
    await learnTo((await finalOf(at(0))) + RETAIN + 3 * SNAPSHOT, daemons);
  });
  after(() => nest.end());

  it('takes a newcomer in at its base, who votes and contributes like all others', async () => {
    const newcomer = await nest.daemon('newcomer', '--bootstrap', at(0).address);
    const said = await newcomer.process.logged({ msg: 'starts from the archive of a peer' }, SOME_TIME_MS);
    assert.ok((said.epoch as number) >= SNAPSHOT);
    daemons.push(newcomer);
    const next = (await finalOf(at(0))) + 2;
    await learnTo(next, daemons);
    await assertAlike(next);
    for (const { client } of daemons) assert.ok((await client.call('ledger_verify')).ok);
  });

  it('goes on after all were killed at once, and each folder holds an archive and what came after it', async () => {
    await Promise.all(daemons.map(({ process }) => process.end()));
    for (const { data } of daemons) {
      // A blob may be half written.
      const { code, stdout } = await nest.run('fsck', '--repair', '--data', data);
      assert.equal(code, 0, stdout);
      using blocks = openBlocks(dataFolderAt(data).blocks);
      using entries = openLedger(dataFolderAt(data).ledger);
      const base = blocks.base() ?? assert.fail('nothing is archived');
      assert.ok(base.epoch >= SNAPSHOT && blocks.get(base.epoch) === undefined);
      const archived = new Set([...blocks.segments()].flatMap(({ leaves }) => leaves.map(({ id }) => id)));
      assert.ok(archived.size > 0 && [...entries.all()].every(({ id }) => !archived.has(id)));
    }
    // One has lost its archive: what stood on it is kept, and a peer gives it another.
    const { data } = at(1);
    const { blocks, ledger } = dataFolderAt(data);
    const entriesIn = (): number => {
      using entries = openLedger(ledger);
      return entries.size();
    };
    const held = entriesIn();
    {
      using db = new DatabaseSync(blocks);
      db.exec('UPDATE segment SET bytes = zeroblob(length(bytes))');
    }
    const { code, stdout } = await nest.run('fsck', '--repair', '--data', data);
    assert.equal(code, 1, stdout);
    assert.match(stdout, /it takes the archive from there/);
    assert.ok(held > 0 && entriesIn() === held);

    const [first, ...others] = [...NAMES, 'newcomer'];
    const again = await nest.daemon(first as string);
    daemons = [again, ...(await Promise.all(others.map((name) => nest.daemon(name, '--bootstrap', again.address))))];
    const next = (await finalOf(again)) + 2;
    await learnTo(next, daemons);
    await assertAlike(next);
    for (const { client } of daemons) assert.deepEqual((await client.call('ledger_verify')).forks, []);
  });

  it('still joins an old checkpoint to what is final now, for anyone to check', async () => {
    const [note, proof, now] = ['early.note', 'proof.json', 'now.note'].map((name) => join(nest.folder, name)) as [string, string, string];
    const { client } = at(3);
    const checkpoint = await client.call('ledger_checkpoint');
    writeFileSync(now, checkpoint.note);
    writeFileSync(note, early.note);
    writeFileSync(
      proof,
      JSON.stringify(await client.call('ledger_prove', { kind: 'consistency', since: early.note, checkpoint: checkpoint.note })),
    );
    const { code, stdout, stderr } = await nest.run('audit', '--checkpoint', now, '--proof', proof);
    assert.equal(code, 0, `${stdout}${stderr}`);
    await assert.rejects(
      client.call('epoch_get', { epoch: early.epoch }),
      (e) => e instanceof StarlingError && e.code === 'NOT_FOUND' && /archived/.test(String(e.facts.fix)),
    );
  });
});
