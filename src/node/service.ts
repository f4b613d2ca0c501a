/** The API's view of a running node. */

import { bytesOf } from '../aggregation/index.ts';
import type { EventTopic, InviteRequest, NodeHealth, NodeInfo, NodeService, PeerView, ProofRequest, Submission } from '../api/index.ts';
import type { ComputeInfo } from '../compute/index.ts';
import { toHex } from '../crypto/index.ts';
import { type Engine, type EntryStore, partsOf } from '../epoch/index.ts';
import { contentInTurns } from '../epoch/served.ts';
import { isWhole } from '../ledger/index.ts';
import type { Host, PeerInfo } from '../network/index.ts';
import { asStarlingError, type BallotBody, EMA_ONE, StarlingError, TRUST_ONE } from '../spec/index.ts';
import { readMetrics } from '../wire/index.ts';
import { issueInvite } from './invites.ts';
import type { DaemonJournal } from './journal.ts';
import { makeCheckpoint, makeProof, type ProofSource } from './proofs.ts';
import { randomBytes, systemClock } from './random.ts';
import type { Stages } from './stages.ts';
import { Trainers } from './trainers.ts';
import { appliedAt, ballotView, epochCurrent, epochView, headView, ledgerHead, rollbackView, swarmView, verifyLedger } from './views.ts';

/** Bytes: two invites of one voter never share a nonce. */
const INVITE_NONCE_BYTES = 16;

export interface ServiceParts {
  readonly engine: Engine;
  readonly host: Host;
  readonly journal: DaemonJournal;
  readonly stages: Stages;
  readonly entries: EntryStore;
  readonly proofs: ProofSource;
  readonly version: string;
  readonly computeInfo: () => ComputeInfo;
  /** Begins an ordered stop of the daemon. */
  readonly stop: () => void;
}

export class DaemonService implements NodeService {
  readonly #parts: ServiceParts;
  readonly #trainers: Trainers;
  readonly #startedMs = systemClock.nowMs();

  constructor(parts: ServiceParts) {
    this.#parts = parts;
    this.#trainers = new Trainers((count) => parts.engine.setTrainers(count));
    let lastEpoch = parts.engine.ctx.chain.head.state.epoch;
    parts.journal.subscribe('epoch', () => {
      const { header, state } = parts.engine.ctx.chain.head;
      // An epoch of joins alone is nobody's silence.
      if (state.epoch === lastEpoch || header === undefined) return;
      lastEpoch = state.epoch;
      for (const trainer of this.#trainers.applied(state.epoch))
        parts.journal.log('warn', 'node', 'a trainer has been silent for too long and counts as gone', { trainer, fix: 'attach it again' });
    });
  }

  info(): NodeInfo {
    const { engine, host, version, computeInfo } = this.#parts;
    return {
      fingerprint: engine.ctx.self,
      peerId: host.peerId,
      addresses: host.addresses(),
      version,
      class: engine.ctx.nodeClass,
      swarmId: engine.ctx.swarm,
      uptimeMs: Math.round(systemClock.nowMs() - this.#startedMs),
      compute: computeInfo(),
      pid: process.pid,
    };
  }

  health(): NodeHealth {
    return this.#parts.stages.health();
  }

  async shutdown(): Promise<void> {
    this.#parts.stop();
  }

  peers(): readonly PeerView[] {
    return this.#parts.host.peers().map((p) => this.#peer(p));
  }

  async dial(address: string): Promise<PeerView> {
    return this.#peer(await this.#parts.host.dial(address));
  }

  #peer(peer: PeerInfo): PeerView {
    const { directory, diverging } = this.#parts.engine.ctx;
    const fingerprint = directory.nodeOf(peer.peerId) ?? null;
    const divergence = fingerprint === null ? undefined : diverging.get(fingerprint);
    if (divergence === undefined) return { ...peer, fingerprint, quarantine: null };
    const { field, where = field, sinceEpoch } = divergence;
    return { ...peer, fingerprint, quarantine: { field, where, sinceEpoch } };
  }

  swarm() {
    return swarmView(this.#parts.engine);
  }

  async ballot(ballot: BallotBody) {
    const { engine } = this.#parts;
    return ballotView(engine, await engine.desk.ballot(ballot));
  }

  async membership(action: 'leave' | 'resume') {
    return (await this.#parts.engine.desk.membership(action)).id;
  }

  async rollback(epoch: number) {
    await this.#parts.engine.desk.rollbackTo(epoch);
    return rollbackView(this.#parts.engine);
  }

  async goOn() {
    await this.#parts.engine.desk.goOn();
    return this.epoch();
  }

  epoch() {
    return epochCurrent(this.#parts.engine, systemClock.nowMs());
  }

  async epochAt(epoch: number) {
    return epochView(this.#parts.engine, epoch);
  }

  async epochs(limit: number) {
    const latest = this.#parts.engine.ctx.chain.head.state.epoch;
    return Array.from({ length: Math.min(limit, latest + 1) }, (_, i) => epochView(this.#parts.engine, latest - i));
  }

  waitEpoch(epoch: number, timeoutMs: number) {
    const { engine, journal } = this.#parts;
    const { chain } = engine.ctx;
    const from = chain.head.state.epoch;
    const { diffusion } = engine;
    // A branch that was dropped: the epoch that is waited for may be far away now, and the waiter has to look again. So has one whose
    // node diffuses, with each round, or does so no more: there is something to learn on from.
    const reached = () => chain.head.state.epoch >= epoch || chain.head.state.epoch < from || engine.diffusion?.round !== diffusion?.round;
    if (reached()) return Promise.resolve(this.epoch());
    return new Promise<ReturnType<DaemonService['epoch']>>((resolve, reject) => {
      const finish = (settle: () => void) => {
        clearTimeout(timer);
        unsubscribe();
        settle();
      };
      const unsubscribe = journal.subscribe('epoch', () => {
        if (reached()) finish(() => resolve(this.epoch()));
      });
      const timer = setTimeout(() => {
        const { epoch: current, phase } = this.epoch();
        const facts = { phase, epoch: current, fix: 'see `starling status` and `starling peers` for what it waits for' };
        finish(() => reject(new StarlingError('TIMEOUT', `epoch ${epoch} was not applied within ${timeoutMs} ms`, facts)));
      }, timeoutMs);
    });
  }

  model(head: 'finalized' | 'latest' | 'applied') {
    const { engine } = this.#parts;
    const view = headView(engine, this.#epochOf(head));
    const { parameters, tensors } = swarmView(engine);
    return { head, epoch: view.epoch, modelRoot: view.modelRoot, local: this.#isLocal(head), tensors, parameters };
  }

  async modelValues(head: 'finalized' | 'latest' | 'applied') {
    const { engine } = this.#parts;
    const epoch = this.#epochOf(head);
    const { state } = appliedAt(engine, epoch);
    if (!this.#isLocal(head))
      return { epoch, modelRoot: state.modelRoot, local: false, parts: partsOf(await whenHere(engine.ctx.chain.openModel(epoch))) };
    const values = await whenHere(engine.model());
    const { root } = await contentInTurns(engine.ctx.ports.clock, bytesOf(values));
    return { epoch, modelRoot: root, local: true, parts: partsOf(values) };
  }

  /** While it diffuses, what a node has applied is its own affair. */
  #isLocal(head: 'finalized' | 'latest' | 'applied'): boolean {
    return head !== 'finalized' && this.#parts.engine.diffusion !== undefined;
  }

  /** What is applied here is the latest, final or not. */
  #epochOf(head: 'finalized' | 'latest' | 'applied'): number {
    const { chain } = this.#parts.engine.ctx;
    return (head === 'finalized' ? chain.finalized : chain.head).state.epoch;
  }

  attachTrainer(name: string) {
    return this.#trainers.attach(name, this.#parts.engine.ctx.chain.head.state.epoch);
  }

  detachTrainer(trainerId: string) {
    this.#trainers.detach(trainerId);
  }

  trainers() {
    return this.#trainers.list();
  }

  async submit(submission: Submission) {
    let metrics: Submission['metrics'];
    try {
      metrics = readMetrics(submission.metrics, 'metrics');
    } catch (error) {
      throw asStarlingError(error, { phase: 'submit', fix: 'send at most 16 finite numbers, each under a name of at most 32 characters' });
    }
    const done = await whenHere(this.#parts.engine.submit({ ...submission, metrics }));
    this.#trainers.contributed(done.epoch, done.contributionId);
    return done;
  }

  ledgerHead() {
    return ledgerHead(this.#parts.engine);
  }

  ledgerList(from: number, limit: number) {
    const { order, base } = this.#parts.engine.ctx.chain;
    const first = Math.max(from, base.state.treeSize);
    return order.slice(first, first + limit).flatMap(({ index, entry }) => (isWhole(entry) ? [{ index, entry }] : []));
  }

  ledgerGet(id: string) {
    const { chain, replica } = this.#parts.engine.ctx;
    const entry = replica.graph.get(id);
    if (entry === undefined && replica.graph.has(id))
      throw new StarlingError('NOT_FOUND', `entry ${id} is archived here: its place is kept, what it says is not`, {
        field: 'id',
        fix: 'ask a node that keeps more epochs',
      });
    if (entry === undefined)
      throw new StarlingError('UNKNOWN_ENTRY', `entry ${id} is not held here`, {
        field: 'id',
        fix: 'check the id, or wait for ledger sync',
      });
    return { entry, index: chain.order.find(id)?.index ?? null };
  }

  ledgerProve(request: ProofRequest) {
    return makeProof(this.#parts.proofs, request);
  }

  ledgerCheckpoint() {
    return makeCheckpoint(this.#parts.proofs, this.#parts.engine.ctx.identity);
  }

  invite(request: InviteRequest) {
    const { ctx } = this.#parts.engine;
    const nonce = toHex(randomBytes(INVITE_NONCE_BYTES));
    const inviter = { identity: ctx.identity, swarm: ctx.swarm, state: ctx.chain.finalized.state, nowMs: systemClock.wallMs(), nonce };
    return issueInvite(inviter, request);
  }

  ledgerConsistency(fromSize: number) {
    const { order } = this.#parts.engine.ctx.chain;
    if (fromSize > order.size)
      throw new StarlingError('NOT_FOUND', `the tree has ${order.size} leaves`, { field: 'fromSize', fix: 'ask for a smaller size' });
    return {
      fromSize,
      fromRoot: order.root(fromSize),
      treeSize: order.size,
      treeRoot: order.root(),
      path: order.tree.consistencyPath(fromSize, order.size).map(toHex),
    };
  }

  async ledgerVerify() {
    return verifyLedger(this.#parts.engine, this.#parts.entries, this.#parts.engine.ctx.ports.blocks);
  }

  trust() {
    return this.#parts.engine.ctx.chain.head.state.members.map((m) => ({
      fingerprint: m.fingerprint,
      trust: m.trust / TRUST_ONE,
      emaX: m.emaX / EMA_ONE,
    }));
  }

  metrics(): Promise<string> {
    return this.#parts.journal.registry.metrics();
  }

  metricsJson(): Promise<unknown> {
    return this.#parts.journal.registry.getMetricsAsJSON();
  }

  subscribe(topic: EventTopic, listener: (event: unknown) => void): () => void {
    return this.#parts.journal.subscribe(topic, listener);
  }
}

/** A node that catches up knows the newest block before it has its model, which is on its way: a client asks again. */
async function whenHere<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof StarlingError) || error.code !== 'AGGREGATE_MISSING') throw error;
    throw new StarlingError('NOT_READY', `the newest model is still being fetched from peers: ${error.message}`, {
      ...error.facts,
      fix: 'ask again in a moment',
    });
  }
}
