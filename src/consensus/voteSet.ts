import type { BlockHash, Fingerprint, QuorumCertificate, Vote } from '../spec/index.ts';
import { faultsOf, quorumOf } from './quorum.ts';

/**
 * Values a voter signed in one step that are kept on its word alone: what it said, and what contradicts it. A liar gets no
 * third one, until f + 1 others stand on that value: then an honest one does, and a quorum elsewhere may rest on the liar's
 * vote for it. No more than (n + f) / (f + 1) values can have that many: three, for any committee of four or more.
 */
const KEPT_VALUES = 2;

/** Votes of one step of one round. A voter counts for every value it signed. */
export class VoteSet {
  readonly #faults: number;
  readonly #quorum: number;
  readonly #byVoter = new Map<Fingerprint, Vote[]>();
  readonly #byValue = new Map<BlockHash | null, Map<Fingerprint, Vote>>();
  #reached: BlockHash | null | undefined;

  constructor(voters: number) {
    this.#faults = faultsOf(voters);
    this.#quorum = quorumOf(voters);
  }

  /** Whether a vote would count, and has not been counted. `certified`: it came in a certificate, so that q voters stand on its value. */
  isNews({ voter, block }: Pick<Vote, 'voter' | 'block'>, certified: boolean): boolean {
    const earlier = this.#byVoter.get(voter);
    const supporters = this.#byValue.get(block);
    if (supporters?.has(voter) === true) return false;
    return earlier === undefined || this.admits(earlier.length, supporters?.size ?? 0, certified);
  }

  /** Whether it was news. */
  add(vote: Vote, certified: boolean): boolean {
    const { voter, block } = vote;
    if (!this.isNews(vote, certified)) return false;
    const earlier = this.#byVoter.get(voter);
    const supporters = this.#byValue.get(block) ?? new Map<Fingerprint, Vote>();
    if (earlier === undefined) this.#byVoter.set(voter, [vote]);
    else earlier.push(vote);
    supporters.set(voter, vote);
    this.#byValue.set(block, supporters);
    if (this.#reached === undefined && supporters.size >= this.#quorum) this.#reached = block;
    return true;
  }

  /** Whether one more value counts of a voter that has signed `signed` others, while `supporters` others signed it. */
  protected admits(signed: number, supporters: number, certified: boolean): boolean {
    return certified || signed < KEPT_VALUES || supporters > this.#faults;
  }

  /** The value of q voters: a block, null for none of them, undefined as long as there is none. */
  get reached(): BlockHash | null | undefined {
    return this.#reached;
  }

  /** How many voters signed anything. */
  get voters(): number {
    return this.#byVoter.size;
  }

  /** How many voters signed this value. */
  count(block: BlockHash | null): number {
    return this.#byValue.get(block)?.size ?? 0;
  }

  isQuorum(block: BlockHash | null): boolean {
    return this.count(block) >= this.#quorum;
  }

  /** The first value that this voter signed. */
  firstOf(voter: Fingerprint): Vote | undefined {
    return this.#byVoter.get(voter)?.[0];
  }

  /** The first votes of q voters, of fewer if fewer spoke. */
  voices(): readonly Vote[] {
    return [...this.#byVoter.values()].slice(0, this.#quorum).map((signed) => signed[0] as Vote);
  }

  /** Every vote counted. */
  votes(): readonly Vote[] {
    return [...this.#byVoter.values()].flat();
  }

  /** The votes of q voters for this value, undefined if there are not so many. */
  certificate(block: BlockHash | null): QuorumCertificate | undefined {
    const votes = [...(this.#byValue.get(block)?.values() ?? [])].sort((a, b) => (a.voter < b.voter ? -1 : 1)).slice(0, this.#quorum);
    const [first] = votes;
    if (first === undefined || votes.length < this.#quorum) return undefined;
    const { epoch, round, step } = first;
    return { epoch, round, step, block, votes: votes.map(({ voter, signature }) => ({ voter, signature })) };
  }
}

/** The votes that a certificate stands for. */
export function votesOf(certificate: QuorumCertificate): Vote[] {
  const { epoch, round, step, block } = certificate;
  return certificate.votes.map(({ voter, signature }) => ({ epoch, round, step, block, voter, signature }));
}
