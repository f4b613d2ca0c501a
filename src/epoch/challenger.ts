/** Who is asked what its disk holds, and when: an observer sweeps over everybody, a member looks at one peer an epoch. */
import { type ContentIndex, chunkCount } from '../crypto/index.ts';
import { asStarlingError, type Fingerprint, type PeerId } from '../spec/index.ts';
import { CHALLENGE_ITEMS, type ChallengeKind } from '../wire/index.ts';
import { challenge, type Question, serveChallenges } from './challenge.ts';
import type { EpochContext } from './context.ts';
import { isOfDisk } from './reach.ts';
import type { Timers } from './timers.ts';

/** Ms between looks at whom to ask. */
const LOOK_MS = 250;
/**
 * Pause after an answer, in times of what it took: an observer costs a peer a tenth of its disk and processor at most. No more
 * ms than this: what takes longer waits for something else, as an answer is some tens of milliseconds of work.
 */
const PAUSE = 9;
const PAUSE_MAX_MS = 500;
/** Ms until a peer that differed is asked the same again: it may have been repaired. */
const AGAIN_MS = 5_000;
/** Questions that a member has for its one peer in an epoch: the newest cut, block and sum, and as many older ones. */
const OF_A_MEMBER = 6;

/** What is still to be asked of one node. */
interface Sweep {
  /** The newest block that this sweep knows of. */
  epoch: number;
  /** The block at which the present round over everything began, and that of the last one that ended well. */
  begunEpoch: number;
  cleanEpoch: number | undefined;
  readonly questions: Question[];
  /** Questions left in this epoch. */
  left: number;
  isAsking: boolean;
  /** Monotonic ms before which nothing is asked. */
  notBeforeMs: number;
  /** What was answered wrongly. */
  suspect: Question | undefined;
}

export class Challenger {
  readonly #ctx: EpochContext;
  readonly #timers: Timers;
  readonly #sweeps = new Map<Fingerprint, Sweep>();
  /** Of the content that was asked about last: reading it again for each question would cost more than the question. */
  #index: { readonly root: string; readonly index: Promise<ContentIndex | undefined> } | undefined;

  constructor(ctx: EpochContext, timers: Timers) {
    this.#ctx = ctx;
    this.#timers = timers;
    ctx.ports.streams.handle('challenge', serveChallenges(ctx));
  }

  start(): void {
    this.#timers.every(
      'challenge',
      () => LOOK_MS,
      async () => this.#look(),
    );
  }

  #look(): void {
    if (this.#ctx.pinned !== undefined) return;
    const connected = this.#ctx.ports.streams.peers().flatMap((peer) => {
      const node = this.#ctx.directory.nodeOf(peer);
      return node === undefined ? [] : [{ node, peer }];
    });
    for (const { node, peer } of this.#ctx.nodeClass === 'observer' ? connected : this.#turnOf(connected)) {
      const sweep = this.#sweepOf(node);
      if (!sweep.isAsking && this.#ctx.ports.clock.nowMs() >= sweep.notBeforeMs) this.#ask(node, peer, sweep);
    }
  }

  /** A member's one peer: another with every epoch, and for each member another one. */
  #turnOf<T extends { readonly node: Fingerprint }>(connected: readonly T[]): T[] {
    const { self, chain } = this.#ctx;
    const { epoch } = chain.finalized.state;
    const sorted = connected.toSorted((a, b) => (a.node < b.node ? -1 : 1));
    const place = sorted.filter(({ node }) => node < self).length;
    return sorted.slice((place + epoch) % Math.max(1, sorted.length)).slice(0, 1);
  }

  #sweepOf(node: Fingerprint): Sweep {
    let sweep = this.#sweeps.get(node);
    if (sweep === undefined) {
      const nothing = { epoch: 0, begunEpoch: 0, left: 0, notBeforeMs: 0, isAsking: false };
      sweep = { ...nothing, cleanEpoch: undefined, questions: [], suspect: undefined };
      this.#sweeps.set(node, sweep);
    }
    const { epoch } = this.#ctx.chain.finalized.state;
    // Only what it says it has applied can be asked of it.
    if (epoch <= sweep.begunEpoch || (this.#ctx.reach.of(node)?.epoch ?? 0) < epoch) return sweep;
    if (epoch > sweep.epoch) sweep.left = this.#ctx.nodeClass === 'observer' ? Number.POSITIVE_INFINITY : OF_A_MEMBER;
    if (epoch > sweep.epoch) {
      const kept = sweep.questions.flatMap((question) => this.#kept(question, epoch));
      sweep.questions.splice(0, Number.POSITIVE_INFINITY, ...(kept.length === 0 ? [] : this.#newest(epoch)), ...kept);
    }
    if (sweep.questions.length === 0) {
      sweep.questions.push(...this.#everything(epoch));
      sweep.begunEpoch = epoch;
    }
    sweep.epoch = epoch;
    return sweep;
  }

  #ask(node: Fingerprint, peer: PeerId, sweep: Sweep): void {
    const isAgain = sweep.suspect !== undefined;
    const question = sweep.suspect ?? (sweep.left > 0 ? sweep.questions.shift() : undefined);
    if (question === undefined) return;
    const { clock, journal } = this.#ctx.ports;
    const sinceMs = clock.nowMs();
    sweep.isAsking = true;
    sweep.left--;
    challenge(this.#ctx, node, peer, question, (root) => this.#indexOf(root))
      .then(
        (divergence) => {
          const pauseMs = Math.min(PAUSE_MAX_MS, PAUSE * (clock.nowMs() - sinceMs));
          sweep.notBeforeMs = clock.nowMs() + (divergence === undefined ? pauseMs : AGAIN_MS);
          if (divergence !== undefined) {
            sweep.suspect = question;
            if (!isAgain) this.#quarantine(divergence, sweep.cleanEpoch);
            return;
          }
          if (isAgain) this.#takeBack(node, sweep);
          if (sweep.questions.length === 0) sweep.cleanEpoch = sweep.begunEpoch;
          this.#timers.once(`challenge/${node}`, pauseMs, () => this.#look());
        },
        (error: unknown) => {
          // Asked again when it is there, or has come as far.
          if (!isAgain) sweep.questions.unshift(question);
          sweep.notBeforeMs = clock.nowMs() + AGAIN_MS;
          journal.log('debug', 'epoch', 'a peer did not say what its disk holds', { ...asStarlingError(error, { peer }).toJSON(), node });
        },
      )
      .finally(() => {
        sweep.isAsking = false;
      });
  }

  #quarantine(divergence: Exclude<Awaited<ReturnType<typeof challenge>>, undefined>, lastCleanEpoch: number | undefined): void {
    const { diverging, ports } = this.#ctx;
    if (diverging.has(divergence.node)) return;
    diverging.set(divergence.node, divergence);
    ports.journal.log('error', 'epoch', 'the replica of a peer differs from the final blocks; it is quarantined', {
      code: 'DIVERGED',
      ...divergence,
      lastCleanEpoch: lastCleanEpoch ?? null,
    });
    ports.journal.count('peers_diverged');
  }

  #takeBack(node: Fingerprint, sweep: Sweep): void {
    const { diverging, chain, ports } = this.#ctx;
    sweep.suspect = undefined;
    const known = diverging.get(node);
    if (known === undefined || !isOfDisk(known)) return;
    diverging.delete(node);
    ports.journal.log('info', 'epoch', 'a peer that differed agrees again', {
      node,
      since: known.sinceEpoch,
      now: chain.finalized.state.epoch,
    });
  }

  #indexOf(root: string): Promise<ContentIndex | undefined> {
    // What has rotted here is not held here; it is said where it is needed.
    if (this.#index?.root !== root) this.#index = { root, index: this.#ctx.ports.blobs.index(root).catch(() => undefined) };
    return this.#index.index;
  }

  // --- questions -----------------------------------------------------------------------------------------------

  /** Everything that is final at this block and no peer has archived, the newest first, content last. */
  #everything(epoch: number): Question[] {
    const { chain, genesis } = this.#ctx;
    const snapshot = chain.at(epoch - (epoch % genesis.snapshotEpochs));
    const roots = [genesis.initialModelRoot, snapshot?.state.modelRoot];
    for (let e = epoch; e > Math.max(0, epoch - genesis.retainEpochs); e--) roots.push(chain.at(e)?.header?.sumRoot);
    return [...this.#entries(epoch), ...this.#blocks(epoch), ...[...new Set(roots)].flatMap((root) => this.#content(root))];
  }

  /** What a block has brought, with as much of what stands before it as fits: all of it where the ledger is small. */
  #newest(epoch: number): Question[] {
    return [
      ...this.#entries(epoch).slice(0, 1),
      ...this.#blocks(epoch).slice(0, 1),
      ...this.#content(this.#ctx.chain.at(epoch)?.header?.sumRoot),
    ];
  }

  /** What of a question of an earlier block nobody has archived at this one. */
  #kept(question: Question, epoch: number): Question[] {
    const from = Math.max(question.from, this.#first(question.kind, epoch));
    return from < question.to ? [{ ...question, from }] : [];
  }

  #entries(epoch: number): Question[] {
    return windows('entries', this.#first('entries', epoch), this.#ctx.chain.at(epoch)?.state.treeSize ?? 0);
  }

  #blocks(epoch: number): Question[] {
    return windows('blocks', this.#first('blocks', epoch), epoch + 1);
  }

  /** The oldest that is asked for. */
  #first(kind: ChallengeKind, epoch: number): number {
    const oldest = this.#oldest(epoch);
    return { entries: this.#ctx.chain.at(oldest)?.state.treeSize ?? 0, blocks: oldest + 1, content: 0 }[kind];
  }

  /** A peer that is ahead has archived more than this node: it is asked for the newer half of what all keep whole. */
  #oldest(epoch: number): number {
    const { chain, genesis } = this.#ctx;
    return Math.max(chain.base.state.epoch, epoch - Math.ceil(genesis.retainEpochs / 2));
  }

  /** Models and sums have one size. */
  #content(root: string | undefined): Question[] {
    return root === undefined ? [] : windows('content', 0, chunkCount(4 * (this.#ctx.spans.at(-1)?.end ?? 0)), root);
  }
}

/** From `from` to `to` (exclusive), as many at a time as one question may name, the last first. */
function windows(kind: ChallengeKind, from: number, to: number, root: string | null = null): Question[] {
  const questions: Question[] = [];
  for (let end = to; end > from; end -= CHALLENGE_ITEMS[kind])
    questions.push({ kind, from: Math.max(from, end - CHALLENGE_ITEMS[kind]), to: end, root });
  return questions;
}
