/** Liars in the votes on a block. */
import type { BlockHash, Fingerprint, PeerId, Proposal, Vote } from '../../spec/index.ts';
import {
  decodeVotesBundle,
  decodeVotesMessage,
  encodeVotesBundle,
  encodeVotesMessage,
  signProposal,
  signVote,
  type VotesMessage,
  votesTopic,
} from '../../wire/index.ts';
import type { Behaviour, LiarTools } from './interceptor.ts';

/** Proposals remembered, of every proposer. */
const REMEMBERED = 64;

/** What has been proposed within sight of a liar, its own proposals included, oldest first. */
class Heard {
  readonly proposals: Proposal[] = [];

  note(message: VotesMessage): void {
    if (message.kind !== 'proposal' || this.proposals.some((p) => p.block === message.proposal.block)) return;
    this.proposals.push(message.proposal);
    if (this.proposals.length > REMEMBERED) this.proposals.shift();
  }
}

const readVotes = (data: Uint8Array): VotesMessage | undefined => {
  try {
    return decodeVotesMessage(data);
  } catch {
    return undefined; // another liar's junk
  }
};

/** What others said is retold; what this node said itself would undo its lie. */
const retellOthers =
  (self: Fingerprint): NonNullable<Behaviour['notify']> =>
  (_peer, protocol, payload) => {
    if (protocol !== 'votes') return payload;
    const others = decodeVotesBundle(payload).filter((m) => speakerOf(m) !== self);
    return others.length === 0 ? undefined : encodeVotesBundle(others);
  };

const speakerOf = (message: VotesMessage): Fingerprint | undefined => {
  if (message.kind === 'vote') return message.vote.voter;
  return message.kind === 'proposal' ? message.proposal.proposer : undefined;
};

/**
 * Votes for one value to one half of its peers and for another to the other half, in every round and step; and shows its
 * proposals to one half alone.
 */
export const equivocatingVoter = ({ identity, swarm, port, isLeft, random }: LiarTools): Behaviour => {
  const heard = new Heard();
  const tell = (toLeft: boolean, topic: string, message: VotesMessage): void =>
    void port.publishTo((peer: PeerId) => isLeft(peer) === toLeft, topic, encodeVotesMessage(message));

  /** Another value than the one that was voted for: another block of this height, or none. */
  const otherThan = ({ block, epoch }: Vote): BlockHash | null => {
    const others = heard.proposals.filter((p) => p.epoch === epoch && p.block !== block);
    if (block === null || (others.length > 0 && random.uniform() < 0.5))
      return others[random.below(Math.max(1, others.length))]?.block ?? null;
    return null;
  };

  return {
    hear(topic, data) {
      if (topic !== votesTopic(swarm)) return;
      const message = readVotes(data);
      if (message !== undefined) heard.note(message);
    },
    publish(topic, data) {
      if (topic !== votesTopic(swarm)) return false;
      const message = decodeVotesMessage(data);
      heard.note(message);
      if (message.kind === 'proposal') {
        tell(message.proposal.round % 2 === 0, topic, message);
        return true;
      }
      if (message.kind !== 'vote') return false;
      const { signature: _, ...body } = message.vote;
      tell(true, topic, message);
      tell(false, topic, { kind: 'vote', vote: signVote(swarm, { ...body, block: otherThan(message.vote) }, identity) });
      return true;
    },
    notify: retellOthers(identity.fingerprint),
  };
};

/**
 * Proposes, whenever it is its turn, the oldest block it can remember in the place of a new one: of this height as if q
 * voters had prevoted it a round ago, with no certificate, with an old one, or as if it were new; and of heights long past.
 */
export const staleProposer = ({ identity, swarm, port }: LiarTools): Behaviour => {
  const heard = new Heard();
  let turn = 0;
  return {
    hear(topic, data) {
      if (topic !== votesTopic(swarm)) return;
      const message = readVotes(data);
      if (message !== undefined) heard.note(message);
    },
    publish(topic, data) {
      if (topic !== votesTopic(swarm)) return false;
      const message = decodeVotesMessage(data);
      if (message.kind !== 'proposal') return false;
      const { proposal } = message;
      const old = heard.proposals.find((p) => p.epoch === proposal.epoch && p.block !== proposal.block) ?? heard.proposals[0];
      heard.note(message);
      if (old === undefined) return false;
      const claims = [
        { validRound: -1, prevotes: null },
        { validRound: proposal.round - 1, prevotes: old.prevotes },
        { validRound: old.validRound, prevotes: old.prevotes },
      ];
      const claim = claims[turn++ % claims.length] as (typeof claims)[number];
      const lie = { epoch: proposal.epoch, round: proposal.round, proposer: identity.fingerprint, block: old.block, ...claim };
      void port.publish(
        topic,
        encodeVotesMessage({ kind: 'proposal', proposal: signProposal(swarm, { ...lie, content: old.content }, identity) }),
      );
      return true;
    },
    notify: retellOthers(identity.fingerprint),
  };
};
