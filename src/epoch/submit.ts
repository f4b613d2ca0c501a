/** Step 1, submit: a trainer hands over what it learned; it becomes this node's contribution to the epoch. */
import { type EntryId, type Hex, mayContribute, StarlingError } from '../spec/index.ts';
import { commit } from './commit.ts';
import { commits, commitTo } from './commitment.ts';
import type { EpochContext } from './context.ts';
import { isForked } from './cuts.ts';
import { prepare } from './prepare.ts';
import { publish, publishEntry } from './publish.ts';
import type { Residual } from './residual.ts';
import { pinnedError } from './rollback.ts';
import { type Model, partsOf } from './storedModel.ts';
import type { UpdateSubmission } from './submission.ts';
import { TURN_ELEMENTS, type Turn, turn } from './turns.ts';

export interface Submitted {
  readonly contributionId: EntryId;
  readonly epoch: number;
  readonly updateHash: Hex;
}

/**
 * Runs steps 1 to 4. Resolves when the contribution is durable and announced. Throws PINNED, EPOCH_PAST, EPOCH_FAR,
 * ALREADY_CONTRIBUTED, CLASS_FORBIDS, FORKED_AUTHOR, BAD_SHAPE, BAD_PARAMS, NON_FINITE. The caller runs one at a time, with
 * the residual settled; `submission.values` is used up. `begins` is called once nothing speaks against it.
 */
export async function submit(
  ctx: EpochContext,
  residual: Residual,
  submission: UpdateSubmission,
  begins: () => void = () => undefined,
): Promise<Submitted> {
  const base = ctx.chain.head.state;
  const epoch = base.epoch + 1;
  checkSubmission(ctx, submission, epoch);
  if (ownContribution(ctx, epoch) !== undefined)
    throw new StarlingError('ALREADY_CONTRIBUTED', `this node has contributed to epoch ${epoch}`, {
      field: 'epoch',
      phase: 'submit',
      fix: `wait for epoch ${epoch} to be applied (epoch_wait), then train on its model`,
    });
  begins();
  const { timeline, ports } = ctx;
  timeline.mark(epoch, 'submit');
  const turns = (): Promise<void> => turn(ports.clock);
  let sinceMs = ports.clock.nowMs();
  const delta =
    submission.kind === 'delta' ? submission.values : await difference(submission.values, await ctx.chain.openModel(base.epoch), turns);
  const exponents = base.scaleExponents;
  const owed = residual.version;
  const prepared = await prepare(
    { genesis: ctx.genesis, spans: ctx.spans, exponents, residual: residual.parts(), delta },
    ctx.ports.compute,
    ctx.ports.entropy,
    turns,
  );
  const commitment = commits(ctx, base) ? await commitTo(ctx, epoch, prepared.integers) : undefined;
  timeline.mark(epoch, 'prepare', sinceMs);
  // Everything that is awaited may let a decision in. It may also have taken its part out of the residual only now: what it took must not come back.
  const requireCurrent = (): void => {
    if (residual.version !== owed || ctx.chain.head.id !== base.decision) throw past(submission.epoch, ctx.chain.head.state.epoch + 1);
  };
  requireCurrent();
  sinceMs = ports.clock.nowMs();
  const committed = await commit(ctx, residual, prepared, commitment, submission, base, requireCurrent);
  timeline.mark(epoch, 'commit', sinceMs);
  ports.journal.observe('commit_ms', ports.clock.nowMs() - sinceMs);
  sinceMs = ports.clock.nowMs();
  if (ctx.isScheduled(base)) await publishEntry(ctx, committed.entry);
  else await publish(ctx, committed.entry, committed.update);
  timeline.mark(epoch, 'publish', sinceMs);
  return { contributionId: committed.entry.id, epoch, updateHash: committed.update.updateHash };
}

/** Throws as `submit` does, but ALREADY_CONTRIBUTED. */
export function checkSubmission(ctx: EpochContext, submission: UpdateSubmission, epoch: number): void {
  if (ctx.pinned !== undefined) throw pinnedError(ctx.pinned, 'submit');
  if (!mayContribute(ctx.nodeClass))
    throw new StarlingError('CLASS_FORBIDS', `a node of class ${ctx.nodeClass} does not contribute`, {
      field: 'class',
      phase: 'submit',
      fix: 'start the daemon with --class core or edge',
    });
  const isSuspended = ctx.chain.finalized.state.members.some((m) => m.fingerprint === ctx.self && m.status === 'suspended');
  if (isSuspended || isForked(ctx, ctx.self))
    throw new StarlingError(
      'FORKED_AUTHOR',
      "this node's chain has forked: two processes have signed with its identity, and the swarm ignores what it contributes",
      {
        field: 'identity',
        phase: 'submit',
        fix: 'stop the other process, then run `starling swarm resume`; or give this node a new identity in a fresh data folder',
      },
    );
  if (submission.epoch < epoch) throw past(submission.epoch, epoch);
  if (submission.epoch > epoch)
    throw new StarlingError('EPOCH_FAR', `epoch ${submission.epoch} has not begun, the swarm collects for epoch ${epoch}`, {
      field: 'epoch',
      phase: 'submit',
      current: epoch,
      fix: `train on the latest model and submit for epoch ${epoch}`,
    });
  const { samples, values } = submission;
  if (!Number.isSafeInteger(samples) || samples < 1)
    throw new StarlingError('BAD_PARAMS', `samples must be a positive whole number, not ${samples}`, { field: 'samples', phase: 'submit' });
  const wanted = ctx.spans.at(-1)?.end ?? 0;
  if (values.length !== wanted)
    throw new StarlingError('BAD_SHAPE', `the update has ${values.length} elements, the model has ${wanted}`, {
      field: 'values',
      phase: 'submit',
      fix: 'send every tensor of `swarm_info` in its shape',
    });
}

/** This node's contribution to `epoch` over the present head, if it made one. */
export function ownContribution(ctx: EpochContext, epoch: number) {
  return ctx.replica.graph.contributionsOf(epoch).find((e) => e.core.author === ctx.self && e.core.anchorBlock === ctx.chain.head.id);
}

const past = (epoch: number, current: number): StarlingError =>
  new StarlingError('EPOCH_PAST', `epoch ${epoch} is over, the swarm collects for epoch ${current}`, {
    field: 'epoch',
    phase: 'submit',
    current,
    fix: 'fetch the latest model and train on it again',
  });

/** In the place of `a`. */
async function difference(a: Float32Array, b: Model, turn: Turn): Promise<Float32Array> {
  let first = 0;
  for await (const part of partsOf(b)) {
    if (first > 0 && first % TURN_ELEMENTS === 0) await turn();
    for (let k = 0; k < part.length; k++) a[first + k] = (a[first + k] as number) - (part[k] as number);
    first += part.length;
  }
  return a;
}
