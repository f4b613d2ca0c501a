/** The words of one epoch: own ones are signed and told, those of others checked, kept and passed on. */
import { verifyEd25519 } from '../../crypto/index.ts';
import type { Attempt, AttemptVote, Hex, PeerId } from '../../spec/index.ts';
import { attemptId, type Finding, type FindingBody, findingBytes, signMessage, verifyAttempt, type Words } from '../../wire/index.ts';
import type { Ballots } from './ballots.ts';
import { Findings } from './findings.ts';
import { Talk } from './talk.ts';
import type { ExchangeWorld } from './world.ts';

export class Witness {
  readonly #world: ExchangeWorld;
  readonly #epoch: number;
  readonly #base: string;
  readonly #ballots: Ballots;
  readonly #findings = new Findings();
  readonly #talk: Talk;
  /** What this node has said of each attempt. */
  readonly #said = new Map<Hex, FindingBody>();

  constructor(world: ExchangeWorld, epoch: number, base: string, ballots: Ballots) {
    this.#world = world;
    this.#epoch = epoch;
    this.#base = base;
    this.#ballots = ballots;
    this.#talk = new Talk(world, epoch, base);
  }

  stop(): void {
    this.#talk.stop();
  }

  tell(): void {
    this.#talk.tell();
  }

  findingsOf(attempt: Hex): readonly Finding[] {
    return this.#findings.of(attempt);
  }

  /** A vote of this node. */
  vote(attempt: Attempt, vote: AttemptVote): void {
    this.#ballots.add(attempt, vote);
    this.#talk.keep({ kind: 'vote', attempt, vote });
  }

  /** Adds to what this node has found in an attempt. The number is time: it grows across restarts. */
  say(attempt: Hex, news: Partial<Pick<FindingBody, 'failure' | 'culprits' | 'done'>>): void {
    const before = this.#said.get(attempt);
    const seq = Math.max((before?.seq ?? 0) + 1, Math.floor(this.#world.clock.wallMs()));
    const { identity } = this.#world;
    const empty = { failure: null, culprits: [], done: null };
    const body: FindingBody = { ...empty, ...before, ...news, epoch: this.#epoch, attempt, node: identity.fingerprint, seq };
    this.#said.set(attempt, body);
    const finding = signMessage(findingBytes, body, identity);
    this.#findings.add(finding);
    this.#talk.keep({ kind: 'finding', finding });
  }

  /** Words that a peer told. False: some are about attempts that are not known here yet, and have to be told again. */
  hear({ words, isFirst }: { readonly words: Words; readonly isFirst: boolean }, from: PeerId): boolean {
    if (isFirst) this.#talk.greet(from);
    const bodies = new Map(words.attempts.map((attempt) => [attemptId(attempt), attempt]));
    for (const vote of words.votes) this.#hearVote(bodies.get(vote.attempt), vote, from);
    return words.findings.map((finding) => this.#hearFinding(finding, from)).every((taken) => taken);
  }

  /** What attempts before this one were about is settled. */
  forget(number: number): void {
    this.#talk.forget((word) => {
      const attempt = word.kind === 'vote' ? word.attempt : this.#ballots.get(word.finding.attempt);
      return attempt === undefined || attempt.number < number;
    });
  }

  #hearVote(attempt: Attempt | undefined, vote: AttemptVote, from: PeerId): void {
    if (attempt === undefined) return;
    this.#talk.knows({ kind: 'vote', attempt, vote }, from);
    const isOfHere = attempt.swarm === this.#world.swarm && attempt.epoch === this.#epoch && attempt.base === this.#base;
    if (!isOfHere || !this.#ballots.wants(attempt.number, vote.voter)) return;
    const key = this.#world.keyOf(vote.voter);
    if (key === undefined || !verifyAttempt(attempt, vote, key)) this.#distrust(from, vote.voter);
    else {
      this.#ballots.add(attempt, vote);
      this.#talk.keep({ kind: 'vote', attempt, vote }, from);
    }
  }

  #hearFinding(finding: Finding, from: PeerId): boolean {
    this.#talk.knows({ kind: 'finding', finding }, from);
    if (finding.epoch !== this.#epoch || !this.#findings.isNews(finding)) return true;
    if (!this.#ballots.isCertified(finding.attempt)) return false;
    const key = this.#world.keyOf(finding.node);
    if (key === undefined || !verifyEd25519(findingBytes(finding), finding.signature, key)) {
      this.#distrust(from, finding.node);
      return true;
    }
    this.#findings.add(finding);
    this.#talk.keep({ kind: 'finding', finding }, from);
    return true;
  }

  #distrust(from: PeerId, node: string): void {
    this.#world.journal.log('warn', 'epoch', 'a word about an average is not signed by the node it speaks for', { peer: from, node });
  }
}
