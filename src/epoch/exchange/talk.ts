/**
 * Signed words of an epoch, told to every peer until it has taken them: what is lost is told again, so losses do not matter. The first
 * message to a peer says that it is: whatever that peer had told this node before, another process heard.
 */
import type { Attempt, AttemptVote, Fingerprint, PeerId } from '../../spec/index.ts';
import { type AverageMessage, decodeAnswer, encodeAverage, type Finding, MAX_BODIES, WORDS_BUDGET_BYTES } from '../../wire/index.ts';
import type { ExchangeWorld } from './world.ts';

/** Ms that words of others wait before they are passed on: where all are connected, their author tells them first. */
const RELAY_MS = 150;
/** Ms until a peer that did not take words is told again; doubled each time, up to the last. */
const RETRY_FIRST_MS = 100;
const RETRY_LAST_MS = 2_000;
/** Ms that a peer has to take words. */
const ANSWER_MS = 3_000;
/** Peers that are told what others said. */
const RELAYS = 16;
/** Bytes of a word beside an attempt's body, generously. */
const WORD_BYTES = 256;

export type Word =
  | { readonly kind: 'vote'; readonly attempt: Attempt; readonly vote: AttemptVote }
  | { readonly kind: 'finding'; readonly finding: Finding };

interface Kept {
  readonly word: Word;
  readonly author: Fingerprint;
  readonly sinceMs: number;
  readonly told: Set<PeerId>;
}

interface Line {
  /** It knows that this process remembers nothing. */
  greeted: boolean;
  busy: boolean;
  pauseMs: number;
  dueMs: number;
}

export class Talk {
  readonly #world: ExchangeWorld;
  readonly #epoch: number;
  readonly #base: string;
  /** By what a newer word replaces. */
  readonly #words = new Map<string, Kept>();
  readonly #lines = new Map<PeerId, Line>();
  #stopped = false;

  constructor(world: ExchangeWorld, epoch: number, base: string) {
    this.#world = world;
    this.#epoch = epoch;
    this.#base = base;
  }

  stop(): void {
    this.#stopped = true;
  }

  /** A word of this node's own, or one that `from` told. */
  keep(word: Word, from?: PeerId): void {
    const kept = { word, author: authorOf(word), sinceMs: this.#world.clock.nowMs(), told: new Set(from === undefined ? [] : [from]) };
    this.#words.set(keyOf(word), kept);
  }

  /** `peer` told a word that is kept already. */
  knows(word: Word, peer: PeerId): void {
    const kept = this.#words.get(keyOf(word));
    if (kept !== undefined && isSame(kept.word, word)) kept.told.add(peer);
  }

  /** `peer` has just begun: what it was told before, it has forgotten. */
  greet(peer: PeerId): void {
    for (const { told } of this.#words.values()) told.delete(peer);
    // What is on its way to the process before it is answered by nobody.
    const greeted = this.#lines.get(peer)?.greeted === true;
    this.#lines.set(peer, { greeted, busy: false, pauseMs: RETRY_FIRST_MS, dueMs: 0 });
  }

  /** What is past is told no longer. */
  forget(isPast: (word: Word) => boolean): void {
    for (const [key, { word }] of this.#words) if (isPast(word)) this.#words.delete(key);
  }

  /** Tells each peer what it has not taken yet. */
  tell(): void {
    if (this.#stopped) return;
    const nowMs = this.#world.clock.nowMs();
    const peers = this.#world.streams.peers().filter((peer) => this.#world.nodeOf(peer) !== undefined);
    peers.forEach((peer, i) => {
      const line = this.#lines.get(peer) ?? { greeted: false, busy: false, pauseMs: RETRY_FIRST_MS, dueMs: 0 };
      this.#lines.set(peer, line);
      if (line.busy || nowMs < line.dueMs) return;
      const isDue = ({ author, sinceMs, told }: Kept): boolean =>
        !told.has(peer) && (author === this.#world.identity.fingerprint || (i < RELAYS && nowMs >= sinceMs + RELAY_MS));
      const due = [...this.#words.values()].filter(isDue);
      if (due.length > 0 || !line.greeted) void this.#send(peer, line, fitting(due));
    });
  }

  async #send(peer: PeerId, line: Line, due: readonly Kept[]): Promise<void> {
    line.busy = true;
    const { clock, streams } = this.#world;
    let taken = false;
    try {
      const payload = encodeAverage(this.#message(due, !line.greeted));
      const answer = decodeAnswer(await streams.request(peer, 'average', payload, { timeoutMs: ANSWER_MS, maxResponseBytes: 64 }));
      taken = answer.kind !== 'later';
    } catch {
      // Not in reach now: it is told again.
    }
    line.busy = false;
    if (taken) line.greeted = true;
    if (taken) for (const { told } of due) told.add(peer);
    line.pauseMs = taken ? RETRY_FIRST_MS : Math.min(RETRY_LAST_MS, 2 * line.pauseMs);
    line.dueMs = taken ? 0 : clock.nowMs() + line.pauseMs;
    if (taken) this.tell();
  }

  #message(due: readonly Kept[], isFirst: boolean): AverageMessage {
    const words = due.map(({ word }) => word);
    const votes = words.flatMap((word) => (word.kind === 'vote' ? [word] : []));
    const attempts = new Map(votes.map(({ attempt, vote }) => [vote.attempt, attempt]));
    return {
      kind: 'words',
      epoch: this.#epoch,
      base: this.#base,
      isFirst,
      words: {
        attempts: [...attempts.values()],
        votes: votes.map(({ vote }) => vote),
        findings: words.flatMap((word) => (word.kind === 'finding' ? [word.finding] : [])),
      },
    };
  }
}

const authorOf = (word: Word): Fingerprint => (word.kind === 'vote' ? word.vote.voter : word.finding.node);

const keyOf = (word: Word): string =>
  word.kind === 'vote' ? `vote ${word.attempt.number} ${word.vote.voter}` : `finding ${word.finding.attempt} ${word.finding.node}`;

const isSame = (a: Word, b: Word): boolean =>
  a.kind === 'vote' ? b.kind === 'vote' && a.vote.attempt === b.vote.attempt : b.kind === 'finding' && a.finding.seq === b.finding.seq;

/** As many as one message holds, a body of an attempt counted once. */
function fitting(due: readonly Kept[]): Kept[] {
  const bodies = new Set<string>();
  let bytes = 0;
  return due.filter(({ word }) => {
    const isNew = word.kind === 'vote' && !bodies.has(word.vote.attempt);
    const size = sizeOf(word, isNew);
    if (bytes + size > WORDS_BUDGET_BYTES || (isNew && bodies.size >= MAX_BODIES)) return false;
    bytes += size;
    if (word.kind === 'vote') bodies.add(word.vote.attempt);
    return true;
  });
}

function sizeOf(word: Word, isNew: boolean): number {
  if (word.kind === 'vote') return WORD_BYTES + (isNew ? 36 * word.attempt.roster.length + 80 * word.attempt.broken.length : 0);
  const { failure, culprits } = word.finding;
  return WORD_BYTES + 36 * culprits.length + (failure === null ? 0 : 36 * failure.unreachable.length + 128 * failure.accused.length);
}
