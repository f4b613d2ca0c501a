/** A node's state as clients see it. */

import { modeOf, scheduleOf } from '../aggregation/index.ts';
import type {
  BallotView,
  EpochCurrent,
  EpochView,
  HeadView,
  LedgerHead,
  LedgerReport,
  Phase,
  RollbackView,
  SwarmView,
} from '../api/index.ts';
import { faultsOf, quorumOf } from '../consensus/index.ts';
import { ZERO_HASH } from '../crypto/index.ts';
import { readArchive } from '../epoch/archive.ts';
import { motionOf } from '../epoch/ballots.ts';
import type { BlockStore, Engine, EntryStore } from '../epoch/index.ts';
import { costOf } from '../epoch/linkClaims.ts';
import { placeIn } from '../epoch/replica.ts';
import { checkEntry, isKind, LedgerGraph, LedgerOrder } from '../ledger/index.ts';
import { type BallotBody, type SignedEntry, StarlingError, TRUST_ONE } from '../spec/index.ts';
import { votersOf } from '../state/index.ts';
import { parameterCount } from '../wire/index.ts';

export function headView(engine: Engine, epoch: number): HeadView {
  const { state } = appliedAt(engine, epoch);
  return { epoch: state.epoch, decision: state.decision, modelRoot: state.modelRoot };
}

export function swarmView(engine: Engine): SwarmView {
  const { ctx } = engine;
  const { genesis, swarm } = ctx;
  const { members } = ctx.chain.head.state;
  const seats = votersOf(ctx.chain.finalized.state).length;
  const { founders, tensors, ...rules } = genesis;
  return {
    swarmId: swarm,
    name: genesis.name,
    tensors,
    parameters: parameterCount(tensors),
    genesis: { ...rules, founders: founders.length },
    members: members.map((m) => ({
      fingerprint: m.fingerprint,
      class: m.nodeClass,
      status: m.status,
      vote: m.vote,
      trust: m.trust / TRUST_ONE,
      joinedEpoch: m.joinedEpoch,
      lastEpoch: m.lastEpoch,
    })),
    seats,
    tolerance: toleranceOf(seats),
  };
}

/** What a committee of this size survives (PROTOCOL section 2). */
function toleranceOf(seats: number): string {
  const faults = faultsOf(seats);
  const quorum = quorumOf(seats);
  const crashes = seats - quorum;
  const lie = faults === 0 ? 'no liar' : faults === 1 ? 'one liar' : `${faults} liars`;
  const crash = crashes === 0 ? 'no crash' : crashes === 1 ? 'one crash' : `${crashes} crashes`;
  return `${seats} ${seats === 1 ? 'voter' : 'voters'}, quorum ${quorum}: survives ${crash} and ${lie}`;
}

export function epochCurrent(engine: Engine, nowMs: number): EpochCurrent {
  const { state, ctx } = engine;
  const { graph } = ctx.replica;
  const { epoch } = ctx.chain.head.state;
  const roster = graph
    .contributionsOf(epoch + 1)
    .filter((e) => e.core.anchorBlock === ctx.chain.head.id && (e.core.body.commitment !== null || ctx.updates.row(e.id) !== undefined))
    .map((e) => e.id);
  return {
    epoch: epoch + 1,
    phase: state.phase satisfies Phase,
    roster,
    deadlineMs: state.phase === 'collecting' ? Math.max(0, Math.round(state.freezeAtMs - nowMs)) : null,
    latest: headView(engine, epoch),
    finalized: headView(engine, ctx.chain.finalized.state.epoch),
    applied: headView(engine, epoch),
    activeTrainers: engine.activeTrainers,
    pinned: ctx.pinned ?? null,
    diffusion: engine.diffusion ?? null,
  };
}

export function rollbackView(engine: Engine): RollbackView {
  const { state, stateRoot } = engine.ctx.chain.head;
  const { epoch, decision, modelRoot, treeSize, treeRoot } = state;
  return { epoch, decision, modelRoot, stateRoot, treeSize, treeRoot };
}

/** A ballot that was just written, and where its motion stands: of several in one block the newest block knows none yet. */
export function ballotView(engine: Engine, entry: SignedEntry): BallotView {
  const { state } = engine.ctx.chain.finalized;
  const body = entry.core.body as BallotBody;
  const { action, subject, epoch } = body;
  const ayes = [...new Set([...(motionOf(state, body)?.ayes ?? []), entry.core.author])].sort();
  return { entry: entry.id, action, subject, epoch, ayes, quorum: quorumOf(votersOf(state).length) };
}

export function epochView(engine: Engine, epoch: number): EpochView {
  const applied = appliedAt(engine, epoch);
  const { ctx } = engine;
  const { graph } = ctx.replica;
  const body = applied.body;
  return {
    epoch,
    decision: applied.id,
    status: epoch === 0 ? 'genesis' : epoch <= ctx.chain.finalized.state.epoch ? 'finalized' : 'provisional',
    roster: (body?.roster ?? []).flatMap((id, i) => {
      const entry = graph.get(id);
      if (entry === undefined) return [];
      const { author, kind } = entry.core;
      const weight = body?.weights[i] ?? 0;
      return [{ entry: id, author, kind, weight, ...(isKind(entry, 'contribution') ? { samples: entry.core.body.samples } : {}) }];
    }),
    aggregateHash: body?.aggregateHash ?? ZERO_HASH,
    modelRoot: applied.state.modelRoot,
    stateRoot: applied.stateRoot,
    treeSize: applied.state.treeSize,
    treeRoot: applied.state.treeRoot,
    schedule: scheduleView(engine, epoch),
    survivors: body === undefined ? [] : ctx.chain.contributionsOf(body).map(({ id }) => id),
    dropped: (body?.dropped ?? []).map(({ id, ...why }) => ({ entry: id, author: graph.get(id)?.core.author ?? '', ...why })),
    broken: ctx.sums.checked(body?.aggregateHash ?? '')?.broken ?? [],
    timeline: ctx.timeline.of(epoch),
  };
}

/** By what an epoch was averaged; where nothing was, by what it would have been. */
function scheduleView({ ctx }: Engine, epoch: number): EpochView['schedule'] {
  const { chain, genesis, sums } = ctx;
  const base = chain.at(epoch - 1)?.state;
  const { body, header } = chain.at(epoch) ?? {};
  if (epoch === 0) return { mode: 'gossip', reason: 'the genesis: nothing is averaged' };
  if (base === undefined) return { mode: null, reason: 'what it builds on is archived' };
  const isSummed = body !== undefined && header !== undefined && header.opening !== null;
  const members = isSummed ? chain.contributionsOf(body).length : 0;
  const broken = sums.checked(body?.aggregateHash ?? '')?.broken.length ?? 0;
  const isNear = isSummed && costOf(ctx, base, body.roster) !== undefined;
  const { schedule, why } = members > 1 ? scheduleOf(genesis, members, broken, isNear) : modeOf(genesis, base);
  return { mode: schedule, reason: why };
}

export function ledgerHead(engine: Engine): LedgerHead {
  const { chain, replica } = engine.ctx;
  const { state, stateRoot } = chain.head;
  const { graph } = replica;
  return {
    epoch: state.epoch,
    treeSize: state.treeSize,
    treeRoot: state.treeRoot,
    stateRoot,
    modelRoot: state.modelRoot,
    heads: graph
      .authors()
      .flatMap((author) => graph.heads(author).map((head) => ({ author, seq: graph.place(head)?.core.seq ?? 0, head }))),
  };
}

/**
 * Reads all that is on disk again and checks it from nothing: the archive, then every entry, signatures, chains, Lamport times,
 * order and root. Throws DATA_CORRUPT, BAD_ARCHIVE.
 */
export function verifyLedger(engine: Engine, store: EntryStore, blocks: BlockStore): LedgerReport {
  const { ctx } = engine;
  const graph = new LedgerGraph();
  const archive = readArchive(blocks, ctx.genesis, ctx.swarm);
  for (const { places } of archive?.cuts ?? []) placeIn(graph, places);
  const problems: { entry: string; code: string; message: string }[] = [];
  for (const entry of store.all()) {
    if (graph.has(entry.id)) continue;
    const verdict = checkEntry(entry, {
      swarm: ctx.swarm,
      place: (id) => graph.place(id),
      certificateOf: (author) => graph.certificateOf(author),
    });
    if (verdict.kind === 'accept') graph.add(entry);
    else
      problems.push({
        entry: entry.id,
        code: verdict.kind === 'missing' ? 'MISSING_PARENT' : verdict.code,
        message: verdict.kind === 'missing' ? verdict.ids.join(' ') : verdict.reason,
      });
  }
  const order = new LedgerOrder(graph);
  const { epoch, treeRoot, treeSize } = ctx.chain.head.state;
  for (const { header, leaves, leavesHash } of archive?.cuts ?? []) order.restore(header.epoch, leaves, leavesHash);
  for (let n = (archive?.state.epoch ?? 0) + 1; n <= epoch; n++) {
    const applied = ctx.chain.at(n);
    order.append(n, [...(applied?.body?.roster ?? []), ...(applied?.block?.body.tips ?? [])]);
  }
  if (order.root() !== treeRoot)
    problems.push({
      entry: ctx.chain.head.id,
      code: 'HASH_MISMATCH',
      message: `the tree over the entries has root ${order.root()}, the head says ${treeRoot}`,
    });
  return {
    ok: problems.length === 0,
    entries: store.size(),
    authors: graph.authors().length,
    treeSize,
    treeRoot,
    forks: graph.forks().map(({ author, seq, ids }) => ({ author, seq, entries: ids })),
    problems,
  };
}

export function appliedAt(engine: Engine, epoch: number) {
  const { chain } = engine.ctx;
  const applied = chain.at(epoch);
  if (applied === undefined)
    throw new StarlingError('NOT_FOUND', `epoch ${epoch} is not applied here`, {
      field: 'epoch',
      fix: `choose one from ${chain.base.state.epoch}, before which all is archived, to ${chain.head.state.epoch}`,
    });
  return applied;
}
