/**
 * Local rollback (PROTOCOL section 7): this node stands at an earlier epoch, with its model and its tree, until it is told to
 * go on. What is final stays final: the blocks stay on disk, peers are still served with them, and nobody else notices more
 * than a node that is away. Undoing a block for the swarm takes a forward block (`ballots.ts`).
 */
import { asStarlingError, type ContentRoot, StarlingError } from '../spec/index.ts';
import { type EpochContext, plantDecisions } from './context.ts';
import { replayBlocks } from './finality.ts';
import { savePin } from './pin.ts';
import type { Residual } from './residual.ts';
import { modelRootOf } from './storedModel.ts';

/**
 * Checks that this node can stand at `epoch`: it is applied here, and its model and tree are at hand and have their roots.
 * Changes nothing. Throws NOT_FOUND, AGGREGATE_MISSING, DATA_CORRUPT.
 */
export async function checkRollback(ctx: EpochContext, epoch: number): Promise<void> {
  const { chain } = ctx;
  const applied = chain.at(epoch);
  if (applied === undefined)
    throw new StarlingError('NOT_FOUND', `epoch ${epoch} is not applied here`, {
      field: 'epoch',
      phase: 'rollback',
      fix: `choose one from ${chain.base.state.epoch}, before which all is archived, to ${chain.head.state.epoch}`,
    });
  const { modelRoot, treeSize, treeRoot } = applied.state;
  let found: ContentRoot;
  try {
    found = await modelRootOf(await chain.openModel(epoch));
  } catch (error) {
    throw asStarlingError(error, { phase: 'rollback', field: 'epoch' });
  }
  requireRoot('model', found, modelRoot, epoch);
  requireRoot('tree', chain.order.root(treeSize), treeRoot, epoch);
}

/**
 * Stands at `epoch` from here on, over restarts too: everything after it leaves chain, tree and memory at once. The caller has
 * checked it and stopped what would go on.
 */
export function rollback(ctx: EpochContext, epoch: number): void {
  const { chain, ports } = ctx;
  const from = chain.head.state.epoch;
  savePin(ports.store, epoch);
  ctx.pinned = epoch;
  chain.rollback(epoch);
  const { treeSize, treeRoot, modelRoot } = chain.head.state;
  requireRoot('tree', chain.order.root(), treeRoot, epoch);
  plantDecisions(ctx);
  ports.journal.log('warn', 'epoch', 'rolled back: this node stands still until it is told to go on', {
    code: 'PINNED',
    from,
    epoch,
    treeSize,
    treeRoot,
    modelRoot,
    fix: 'run `starling rollback --resume`',
  });
}

/** Brings a node to where its disk is, after a restart. Where it can be, before anybody else is in reach. */
export async function replay(ctx: EpochContext, residual: Residual): Promise<void> {
  await residual.tidy();
  await replayBlocks(ctx);
  ctx.pinned = settlePin(ctx);
  plantDecisions(ctx);
}

/** Provisional results are not held over a restart, so that this node stands at its newest block at most. */
function settlePin({ chain, ports, pinned }: Pick<EpochContext, 'chain' | 'ports' | 'pinned'>): number | undefined {
  if (pinned === undefined || pinned <= chain.finalized.state.epoch) return pinned;
  savePin(ports.store, chain.finalized.state.epoch);
  return chain.finalized.state.epoch;
}

/**
 * Ends a rollback: applies again the blocks on this node's disk, each with the roots it had. What came since is fetched from
 * peers as after any absence. Throws DIVERGED where a block leads elsewhere now, and stays where it is.
 */
export async function goOn(ctx: EpochContext): Promise<void> {
  const from = ctx.chain.head.state.epoch;
  await replayBlocks(ctx, Number.POSITIVE_INFINITY);
  savePin(ctx.ports.store, undefined);
  ctx.pinned = undefined;
  plantDecisions(ctx);
  ctx.ports.journal.log('info', 'epoch', 'the rollback is over', { from, epoch: ctx.chain.head.state.epoch });
}

/** Why nothing is submitted or voted on here. */
export const pinnedError = (epoch: number, phase: string): StarlingError =>
  new StarlingError('PINNED', `this node was rolled back to epoch ${epoch} and stands still`, {
    field: 'epoch',
    phase,
    current: epoch,
    fix: 'run `starling rollback --resume` to let it catch up with the others',
  });

function requireRoot(what: string, found: string, wanted: string, epoch: number): void {
  if (found === wanted) return;
  throw new StarlingError('DATA_CORRUPT', `the ${what} of epoch ${epoch} has root ${found} here, its block says ${wanted}`, {
    field: `${what}Root`,
    phase: 'rollback',
    fix: 'stop the daemon and run `starling fsck --repair`',
  });
}
