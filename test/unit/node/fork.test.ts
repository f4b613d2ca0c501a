import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { contentOf, identityFromSeeds, toHex } from '../../../src/crypto/index.ts';
import { forkSwarm } from '../../../src/node/fork.ts';
import { makeCheckpoint } from '../../../src/node/proofs.ts';
import { StarlingError } from '../../../src/spec/index.ts';
import { dataFolderAt, lockDataFolder, openBlobStore } from '../../../src/storage/index.ts';
import { decodeGenesis, swarmIdOf } from '../../../src/wire/index.ts';
import { founderOf, foundFolder, openStores } from '../../support/dataFolder.ts';
import { LedgerWriter } from '../../support/ledgerWriter.ts';

const NOW_MS = Date.UTC(2026, 0, 2);
const failing = (code: string, field?: string) => (e: unknown) =>
  e instanceof StarlingError && e.code === code && (field === undefined || e.facts.field === field);

/** Bytes of TINY_SWARM's model after epoch `n`, and before them one element: the writer's sums lead to what follows it. */
const sumOf = (n: number): Uint8Array => Uint8Array.from({ length: 64 }, (_, i) => (i < 4 ? 0 : (i + n) % 7));

describe('a fork of a swarm', () => {
  let home: string;
  let data: string;
  const notes: string[] = [];
  const stranger = identityFromSeeds({ mldsaSeed: new Uint8Array(32).fill(7), ed25519Seed: new Uint8Array(32).fill(8) });
  const fork = (change: Partial<Parameters<typeof forkSwarm>[1]> = {}, to = 'new') =>
    forkSwarm(data, { checkpoint: notes[0] as string, to: join(home, to), founders: [], identity: true, nowMs: NOW_MS, ...change });

  before(async () => {
    home = mkdtempSync(join(tmpdir(), 'starling-fork-'));
    data = join(home, 'old');
    const founder = await foundFolder(data);
    using stores = openStores(dataFolderAt(data));
    const writer = await LedgerWriter.open(founder, stores);
    for (const count of [2, 4]) {
      writer.append(count);
      await stores.blobs.put(sumOf(writer.epoch).subarray(4));
      await writer.finalise(sumOf(writer.epoch));
      notes.push(makeCheckpoint({ swarm: founder.swarm, blocks: stores.blocks }, founder.identity).note);
    }
    notes.push(makeCheckpoint({ swarm: founder.swarm, blocks: stores.blocks }, stranger).note);
  });
  after(() => rmSync(home, { recursive: true, force: true }));

  it('has a new id, the old rules, and the model of the checkpoint', async () => {
    const old = founderOf(dataFolderAt(data));
    for (const [epoch, note] of [1, 2].map((n) => [n, notes[n - 1] as string] as const)) {
      const forked = await fork({ checkpoint: note }, `new-${epoch}`);
      const folder = dataFolderAt(forked.data);
      const bytes = new Uint8Array(readFileSync(folder.genesis));
      const genesis = decodeGenesis(bytes);
      assert.equal(swarmIdOf(bytes), forked.swarmId);
      assert.notEqual(forked.swarmId, old.swarm);
      assert.deepEqual([forked.parent, forked.epoch, forked.founders], [old.swarm, epoch, [old.identity.fingerprint]]);
      const { initialModelRoot, scaleExponents, founders, createdMs, ...rules } = genesis;
      assert.deepEqual(rules, (({ initialModelRoot: _m, scaleExponents: _s, founders: _f, createdMs: _c, ...rest }) => rest)(old.genesis));
      assert.equal(createdMs, NOW_MS);
      assert.deepEqual(
        founders.map((c) => toHex(c.ed25519PublicKey)),
        [toHex(old.identity.ed25519PublicKey)],
      );
      const model = sumOf(epoch - 1).subarray(4);
      assert.equal(initialModelRoot, contentOf(model).root);
      assert.deepEqual(await openBlobStore(folder.blobs).get(initialModelRoot), Buffer.from(model));
      assert.equal(scaleExponents.length, genesis.tensors.length);
      assert.equal(founderOf(folder).identity.fingerprint, old.identity.fingerprint);
      assert.equal(statSync(folder.identity).mode & 0o777, 0o600);
    }
  });

  it('leaves the keys out when it is told to', async () => {
    const { data: to } = await fork({ identity: false }, 'bare');
    assert.ok(!existsSync(dataFolderAt(to).identity));
  });

  it('is not made from a checkpoint that this folder does not lead to', async () => {
    const [note] = notes as [string];
    const other = join(home, 'other');
    await foundFolder(other);
    await assert.rejects(
      forkSwarm(other, { checkpoint: note, to: join(home, 'x'), founders: [], identity: true, nowMs: 0 }),
      failing('BAD_PROOF', 'swarm'),
    );
    await assert.rejects(fork({ checkpoint: notes[2] as string }, 'x'), failing('BAD_PROOF', 'signer'));
    await assert.rejects(fork({ checkpoint: note.replace('\nepoch 1\n', '\nepoch 9\n') }, 'x'), failing('BAD_PROOF', 'epoch'));
    await assert.rejects(fork({ checkpoint: note.replace('\nepoch 1\n', '\nepoch 2\n') }, 'x'), failing('BAD_PROOF', 'treeSize'));
    const forged = note.replace(/\nmodel (.)/, (_, digit: string) => `\nmodel ${digit === '0' ? '1' : '0'}`);
    await assert.rejects(fork({ checkpoint: forged }, 'x'), failing('BAD_PROOF', 'modelRoot'));
    const signature = note.lastIndexOf('A', note.length - 10);
    await assert.rejects(
      fork({ checkpoint: `${note.slice(0, signature)}B${note.slice(signature + 1)}` }, 'x'),
      failing('BAD_PROOF', 'signer'),
    );
    assert.ok(!existsSync(join(home, 'x', 'genesis.cbor')));
  });

  it('is founded by members alone, in a folder of its own, with the daemon stopped', async () => {
    await assert.rejects(fork({ founders: [stranger.fingerprint] }, 'x'), failing('NOT_MEMBER', 'founder'));
    await fork({}, 'taken');
    await assert.rejects(fork({}, 'taken'), failing('BAD_USAGE', 'to'));
    const occupied = dataFolderAt(join(home, 'occupied'));
    await foundFolder(occupied.path);
    rmSync(occupied.genesis);
    await assert.rejects(fork({}, 'occupied'), failing('BAD_USAGE', 'to'));
    await assert.rejects(
      forkSwarm(join(home, 'nowhere'), { checkpoint: '', to: home, founders: [], identity: true, nowMs: 0 }),
      failing('NOT_FOUND'),
    );
    using lock = lockDataFolder(dataFolderAt(data).lock);
    assert.ok(lock);
    await assert.rejects(fork({}, 'x'), failing('DATA_IN_USE'));
  });

  it('needs the model of the checkpoint', async () => {
    const folder = dataFolderAt(data);
    const root = contentOf(sumOf(0).subarray(4)).root;
    const path = join(folder.blobs, root.slice(0, 2), root);
    const bytes = readFileSync(path);
    rmSync(path);
    const sum = contentOf(sumOf(0)).root;
    const sumPath = join(folder.blobs, sum.slice(0, 2), sum);
    const sumBytes = readFileSync(sumPath);
    rmSync(sumPath);
    try {
      await assert.rejects(fork({}, 'x'), failing('AGGREGATE_MISSING'));
    } finally {
      writeFileSync(path, bytes);
      writeFileSync(sumPath, sumBytes);
    }
  });
});
