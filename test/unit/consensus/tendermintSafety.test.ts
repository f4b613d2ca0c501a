import assert from 'node:assert/strict';
import fc from 'fast-check';
import { quorumOf, type SavedVotes, Tendermint, type TendermintConfig, type TendermintEffect } from '../../../src/consensus/index.ts';
import type { BlockHash, Vote, VoteStep } from '../../../src/spec/index.ts';
import { certificateOf, voteOf } from './votingRig.ts';

const ROUNDS = 4;
const block = fc.constantFrom('a', 'a', 'b', 'b', 'c');
const step = fc.constantFrom<VoteStep>('prevote', 'precommit');
const round = fc.integer({ min: 0, max: ROUNDS });
/** From the round the node is in: most things happen in it. */
const off = fc.constantFrom(0, 0, 0, 0, -1, 1);

/** Anything that can happen to a node, sense or no sense. Voters are numbers modulo n; `crash` between saving and sending too. */
const event = fc.oneof(
  { weight: 6, arbitrary: fc.record({ type: fc.constant('vote' as const), from: fc.nat(6), round, step, block: fc.option(block) }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constant('round' as const), off, step, block: fc.option(block) }) },
  {
    weight: 3,
    arbitrary: fc.record({ type: fc.constant('proposal' as const), off, block, validRound: fc.constantFrom(-1, -1, 0, 1, 2) }),
  },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('judged' as const), off, block, valid: fc.constantFrom(true, true, false) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant('timer' as const),
      step: fc.constantFrom('propose' as const, 'prevote' as const, 'precommit' as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('offer' as const), block }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('crash' as const), unsent: fc.boolean() }) },
);
type Event = typeof event extends fc.Arbitrary<infer T> ? T : never;

/** A node around one machine, and what it signed and was told, ever. */
class Witness {
  readonly n: number;
  readonly config: TendermintConfig;
  readonly newMachine: (config: TendermintConfig, saved?: SavedVotes) => Tendermint;
  machine: Tendermint;
  saved: SavedVotes | undefined;
  crashAtNextVote = false;
  readonly signed = new Map<string, BlockHash | null>();
  /** Voters by round and block prevoted. */
  readonly prevotes = new Map<string, Set<string>>();
  lock: { round: number; block: BlockHash } | undefined;

  constructor(n: number, newMachine: Witness['newMachine']) {
    const voters = Array.from({ length: n }, (_, i) => `v${i}`);
    this.n = n;
    this.config = { epoch: 1, voters, proposers: voters, self: 'v0' };
    this.newMachine = newMachine;
    this.machine = newMachine(this.config);
    this.run(this.machine.start());
  }

  restart(): void {
    this.crashAtNextVote = false;
    this.machine = this.newMachine(this.config, structuredClone(this.saved));
    this.run(this.machine.start());
  }

  run(effects: readonly TendermintEffect[]): void {
    const { machine } = this;
    for (const effect of effects) {
      if (machine !== this.machine) return;
      // Only the answers about c come when they like, if ever.
      if (effect.type === 'judge' && effect.block !== 'c') this.run(machine.onJudged(effect.block, effect.round, true));
      if (effect.type === 'propose') this.run(machine.onProposal({ ...effect, proposer: 'v0' }));
      if (effect.type === 'vote') this.#vote({ ...effect.vote, signature: new Uint8Array(0) });
    }
  }

  heard(vote: Vote): void {
    if (vote.step !== 'prevote') return;
    const place = `${vote.round}/${vote.block}`;
    this.prevotes.set(place, (this.prevotes.get(place) ?? new Set()).add(vote.voter));
  }

  happen(what: Event): void {
    const { machine, n } = this;
    const at = Math.max(0, machine.round + ('off' in what ? what.off : 0));
    const others = Array.from({ length: n - 1 }, (_, i) => i + 1);
    if (what.type === 'vote') {
      // Another's: nobody can sign for this node.
      const vote = voteOf(1 + (what.from % (n - 1)), what.round, what.step, what.block);
      this.heard(vote);
      this.run(machine.onVote(vote));
    } else if (what.type === 'round') {
      // The votes of a whole quorum, so that locks, decisions and rounds come about often.
      for (const from of others.slice(0, quorumOf(n))) {
        const vote = voteOf(from, at, what.step, what.block);
        this.heard(vote);
        this.run(this.machine.onVote(vote));
      }
    } else if (what.type === 'proposal') {
      const proposer = `v${at % n}`;
      if (proposer === 'v0') return;
      const prevotes = what.validRound < 0 ? null : certificateOf(what.validRound, 'prevote', what.block, others.slice(0, quorumOf(n)));
      for (const { voter } of prevotes?.votes ?? []) this.heard({ ...voteOf(0, what.validRound, 'prevote', what.block), voter });
      this.run(machine.onProposal({ round: at, block: what.block, validRound: what.validRound, proposer, prevotes }));
    } else if (what.type === 'judged') this.run(machine.onJudged(what.block, at, what.valid));
    else if (what.type === 'timer') this.run(machine.onTimer(what.step, machine.round));
    else if (what.type === 'offer') this.run(machine.offer(what.block));
    else if (what.unsent) this.crashAtNextVote = true;
    else this.restart();
  }

  #vote(vote: Vote): void {
    const { machine } = this;
    this.saved = structuredClone(machine.saved());
    const place = `${vote.round}/${vote.step}`;
    const earlier = this.signed.get(place);
    const isRepeated = earlier !== undefined;
    if (isRepeated) assert.equal(vote.block, earlier, `signed ${earlier} and ${vote.block} at ${place}`);
    for (const other of this.signed.keys())
      assert.ok(Number.parseInt(other, 10) <= vote.round, `signed round ${vote.round} after ${other}`);
    this.signed.set(place, vote.block);
    if (!isRepeated && vote.step === 'prevote' && vote.block !== null) this.#mayPrevote(vote.round, vote.block);
    this.heard(vote);
    if (vote.step === 'precommit' && vote.block !== null) {
      assert.ok(this.#isQuorum(vote.round, vote.block), `precommits ${vote.block} in round ${vote.round} without a quorum`);
      this.lock = { round: vote.round, block: vote.block };
    }
    if (this.crashAtNextVote) this.restart();
    else this.run(machine.onVote(vote));
  }

  /** What safety rests on: after a precommit only a newer quorum for another block lets a node prevote that one. */
  #mayPrevote(at: number, value: BlockHash): void {
    if (this.lock === undefined || this.lock.block === value) return;
    for (let r = this.lock.round; r < at; r++) if (this.#isQuorum(r, value)) return;
    assert.fail(`prevotes ${value} in round ${at}, locked on ${this.lock.block} since ${this.lock.round}`);
  }

  #isQuorum(at: number, value: BlockHash): boolean {
    return (this.prevotes.get(`${at}/${value}`)?.size ?? 0) >= quorumOf(this.n);
  }
}

/** Returns in how many runs the machine locked a block: the property is about something. Throws the first broken assertion. */
function check(newMachine: Witness['newMachine'], numRuns: number): number {
  let locked = 0;
  const { errorInstance } = fc.check(
    fc.property(fc.constantFrom(4, 5, 7), fc.array(event, { minLength: 10, maxLength: 60 }), (n, events) => {
      const witness = new Witness(n, newMachine);
      for (const what of events) witness.happen(what);
      if (witness.lock !== undefined) locked++;
    }),
    { numRuns, seed: 1 },
  );
  if (errorInstance instanceof Error) throw errorInstance;
  return locked;
}

describe('Tendermint: safety of one node under anything at all', () => {
  it('never signs two values in one place or against its lock, crashes and lost memory included', () => {
    const locked = check((config, saved) => new Tendermint(config, saved), 8_000);
    assert.ok(locked > 400, `locked in ${locked} runs`);
  });

  it('the property sees a machine without the lock check', () => {
    class Unlocked extends Tendermint {
      protected override lockAllows(): boolean {
        return true;
      }
    }
    assert.throws(() => check((config, saved) => new Unlocked(config, saved), 3_000), /locked on/);
  });

  it('the property sees a machine that forgets what it saved', () => {
    assert.throws(() => check((config) => new Tendermint(config), 3_000), /signed/);
  });
});
