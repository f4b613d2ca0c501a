/** Equivocation: what one identity must not both have signed, collected until a block holds it (PROTOCOL section 2). */
import { type BlockBody, type Evidence, type Fingerprint, MAX_EVIDENCE, StarlingError } from '../spec/index.ts';
import { verifyVote } from '../wire/index.ts';
import type { Applied } from './chain.ts';
import type { EpochContext } from './context.ts';
import { isCut } from './cuts.ts';
import { pendingJoins } from './join.ts';

/** Evidence that no block holds yet, as much as one takes. */
export function pendingEvidence(ctx: EpochContext, base: Applied): Evidence[] {
  const status = new Map(base.state.members.map((m) => [m.fingerprint, m.status]));
  const votes = [...ctx.evidence.votes()].filter((e) => status.has(e.first.voter) && status.get(e.first.voter) !== 'expelled');
  const standing = base.state.members.filter((m) => m.status === 'active' || m.status === 'away').map((m) => m.fingerprint);
  // Who joins with this block may have forked before it: members first, or strangers could crowd them out.
  const joining = pendingJoins(ctx).flatMap((id) => ctx.replica.graph.get(id)?.core.author ?? []);
  const forks = [...standing, ...joining]
    .flatMap((author) => ctx.replica.graph.forksOf(author))
    .flatMap((fork): Evidence[] => {
      const [first, second] = [...fork.ids].sort();
      if (first === undefined || second === undefined) return [];
      // A block that holds both sides suspended their author for them already.
      if (isCut(ctx, base, first) && isCut(ctx, base, second)) return [];
      return [{ kind: 'entry', author: fork.author, seq: fork.seq, first, second }];
    });
  return [...votes, ...forks].slice(0, MAX_EVIDENCE);
}

/** Throws BAD_EVIDENCE (phase `audit`) unless it proves what it says, of a member that it still changes something for. */
export function checkEvidence(ctx: EpochContext, base: Applied, evidence: Evidence, body: BlockBody): void {
  const author = evidence.kind === 'vote' ? evidence.first.voter : evidence.author;
  const member = base.state.members.find((m) => m.fingerprint === author);
  if (member?.status === 'expelled') throw bad(author, 'it is about no member');
  if (evidence.kind === 'vote') {
    if (member === undefined) throw bad(author, 'it is about no member');
    const { first, second } = evidence;
    if (second.voter !== author || first.epoch !== second.epoch || first.round !== second.round || first.step !== second.step)
      throw bad(author, 'its votes are of different places');
    if (first.block === second.block) throw bad(author, 'its votes are for the same block');
    for (const vote of [first, second])
      if (!verifyVote(ctx.swarm, vote, member.ed25519PublicKey)) throw bad(author, 'a vote in it is not signed by its voter');
    return;
  }
  const sides = [evidence.first, evidence.second].map((id) => ctx.replica.graph.place(id));
  if (evidence.first >= evidence.second || sides.some((e) => e?.core.author !== author || e?.core.seq !== evidence.seq))
    throw bad(author, 'its entries are no fork of its author');
  // Who joins with this block is judged with it; whose join a block held already and who is no member never will be.
  const join = ctx.replica.graph.chain(evidence.first)[0];
  if (member === undefined && (join === undefined || isCut(ctx, base, join))) throw bad(author, 'it is about no member');
  // What the roster names is no tip as well.
  if ([evidence.first, evidence.second].every((id) => isCut(ctx, base, id))) throw bad(author, 'blocks before hold both of its entries');
  const inReach = [evidence.first, evidence.second].every((id) => isCut(ctx, base, id) || [...body.tips, ...body.roster].includes(id));
  if (!inReach) throw bad(author, 'its entries are in no cut');
}

const bad = (author: Fingerprint, message: string): StarlingError =>
  new StarlingError('BAD_EVIDENCE', `evidence against ${author.slice(0, 8)}: ${message}`, { field: 'evidence', phase: 'audit', author });
