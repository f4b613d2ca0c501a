import assert from 'node:assert/strict';
import { type AuditReport, audit, type Proof } from '../../../src/ledger/index.ts';
import { proofSource } from '../../../src/node/proofSource.ts';
import { AUDIT_RULES, makeCheckpoint, makeProof, type ProofSource } from '../../../src/node/proofs.ts';
import { World } from '../../../src/simulation/index.ts';
import { type EntryId, StarlingError } from '../../../src/spec/index.ts';
import { encodeGenesis } from '../../../src/wire/index.ts';

const RULES = { minDeadlineMs: 100, snapshotEpochs: 3, retainEpochs: 5 } as const;

const check = (note: string, proof: Proof): AuditReport => audit(note, JSON.stringify(proof), AUDIT_RULES);

describe('proofs of a node that has archived', function () {
  this.timeout(60_000);
  let world: World;
  /** A checkpoint of an epoch that is archived by now. */
  let early: string;
  /** Signed by the one that follows. */
  let now: string;
  const sourceOf = (i: number): ProofSource => proofSource(world.node(i).up.ctx, encodeGenesis(world.genesis));
  const baseOf = (i: number): number => world.node(i).up.ctx.chain.base.state.epoch;
  /** Who pruned its own blocks, and who started from another's archive. */
  const nodes = [1, 3] as const;

  before(async () => {
    world = new World({ nodes: 4, seed: 4, rules: RULES, late: new Set([3]) });
    await world.boot();
    const finals = async (epoch: number, who: readonly number[]): Promise<void> => {
      const isThere = (i: number): boolean => (world.node(i).engine?.ctx.chain.finalized.state.epoch ?? -1) >= epoch;
      assert.ok(await world.clock.runUntil(() => who.every(isThere), world.clock.nowMs() + 60_000));
    };
    await finals(5, [0, 1, 2]);
    early = makeCheckpoint(sourceOf(0), world.node(0).identity).note;
    await finals(15, [0, 1, 2]);
    await world.node(3).start();
    await finals(18, [0, 1, 2, 3]);
    now = makeCheckpoint(sourceOf(1), world.node(1).identity).note;
  });
  after(() => world.stop());

  const idsOf = (i: number, kind: string, isArchived: boolean): EntryId[] => {
    const { chain } = world.node(i).up.ctx;
    const { treeSize } = chain.base.state;
    const [from, to] = isArchived ? [0, treeSize] : [treeSize, chain.finalized.state.treeSize];
    const placed = chain.order.slice(from, to).map(({ entry }) => entry);
    return placed.flatMap((entry) => ('coreBytes' in entry && entry.core.kind === kind ? [entry.id] : []));
  };
  const refuses = (i: number, request: Parameters<typeof makeProof>[1], message: RegExp): void => {
    assert.throws(
      () => makeProof(sourceOf(i), request),
      (e) => e instanceof StarlingError && e.code === 'NOT_FOUND' && message.test(e.message) && /ask a node/.test(String(e.facts.fix)),
      `${request.kind} at node ${i}`,
    );
  };

  it('lead from the genesis over handovers that are archived, to checkpoints before and after the base', () => {
    for (const i of nodes) {
      assert.ok(baseOf(i) > 5, `base ${baseOf(i)}`);
      const source = sourceOf(i);
      const epoch = baseOf(i) + 2;
      const id = idsOf(i, 'contribution', false).at(-1);
      assert.ok(id !== undefined);
      for (const checkpoint of [early, now, undefined])
        for (const request of [
          { kind: 'entry', id },
          { kind: 'record', id },
          { kind: 'event', epoch },
          { kind: 'block', epoch },
        ] as const) {
          const proof = makeProof(source, { ...request, ...(checkpoint === undefined ? {} : { checkpoint }) });
          const report = check(checkpoint ?? makeCheckpoint(source, world.node(i).identity).note, proof);
          assert.ok(report.ok, `${request.kind}: ${JSON.stringify(report.checks)}`);
          assert.ok('handovers' in proof && proof.handovers.some(({ header }) => header.epoch <= baseOf(i)));
          // The committee of today is not the founders': without what is archived, nothing leads to it.
          assert.equal(check(checkpoint ?? now, { ...proof, handovers: proof.handovers.slice(1) }).ok, false);
        }
    }
  });

  it('join a checkpoint from before the base to one of today', () => {
    for (const i of nodes) {
      const proof = makeProof(sourceOf(i), { kind: 'consistency', since: early, checkpoint: now });
      const report = check(now, proof);
      assert.ok(report.ok, JSON.stringify(report.checks));
    }
  });

  it('are made of an archived join, which is whole', () => {
    for (const i of nodes) {
      const [id] = idsOf(i, 'join', true);
      assert.ok(id !== undefined);
      assert.ok(check(now, makeProof(sourceOf(i), { kind: 'entry', id, checkpoint: now })).ok);
    }
  });

  it('of what is archived are refused, saying whom to ask', () => {
    for (const i of nodes) {
      const { chain } = world.node(i).up.ctx;
      const gone = chain.order.slice(0, chain.base.state.treeSize).find(({ entry }) => !('coreBytes' in entry))?.entry.id;
      assert.ok(gone !== undefined);
      refuses(i, { kind: 'entry', id: gone }, /is archived here: its place is kept/);
      refuses(i, { kind: 'record', id: gone }, /is archived here: its place is kept/);
      const epoch = baseOf(i);
      refuses(i, { kind: 'block', epoch }, new RegExp(`^block ${epoch} is not held here`));
      refuses(i, { kind: 'event', epoch }, new RegExp(`block ${epoch} is not held here|no longer holds what epoch ${epoch}`));
      const [join] = idsOf(i, 'join', true);
      assert.ok(join !== undefined);
      refuses(i, { kind: 'record', id: join }, /no longer holds what epoch/);
    }
  });
});
