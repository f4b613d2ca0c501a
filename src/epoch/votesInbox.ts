/** What comes on the votes topic and its stream: judged, and handed to the height it belongs to. */
import { ACCEPT, asStarlingError, type Beat, type Fingerprint, ignore, type PeerId, reject, type Verdict } from '../spec/index.ts';
import { decodeVotesBundle, decodeVotesMessage, encodeVotesBundle, VOTES_BUNDLE_MAX_BYTES, type VotesMessage } from '../wire/index.ts';
import { judgeBeat, noteDivergence } from './beats.ts';
import type { EpochContext } from './context.ts';
import type { Voting } from './voting.ts';

export interface VotesListener {
  /** The vote on the present height. */
  voting(): Voting;
  ownBeat(): Beat;
  /** A node stands on a later block. */
  ahead(node: Fingerprint, from: PeerId): void;
  /** A beat of a node came. */
  beatNews(node: Fingerprint): void;
}

/** Bytes of a bundle that are filled; the rest is room for its frame. */
const BUNDLE_BUDGET = VOTES_BUNDLE_MAX_BYTES - 32 * 1024;

export class VotesInbox {
  readonly #ctx: EpochContext;
  readonly #listener: VotesListener;

  constructor(ctx: EpochContext, listener: VotesListener) {
    this.#ctx = ctx;
    this.#listener = listener;
    // An empty question asks for all that is known of the present height, the asker's own votes first; anything else is news.
    ctx.ports.streams.handle('votes', async (from, payload) => {
      if (payload.byteLength === 0) {
        const votes = listener.voting().votesOf(ctx.directory.nodeOf(from) ?? '');
        return encodeVotesBundle([
          { kind: 'beat', beat: listener.ownBeat() },
          ...votes.map((vote): VotesMessage => ({ kind: 'vote', vote })),
          ...this.known(),
        ]);
      }
      this.bundle(payload, from);
      return undefined;
    });
  }

  gossip(data: Uint8Array, from: PeerId): Verdict {
    try {
      return this.#take(decodeVotesMessage(data), from);
    } catch (error) {
      // [REJECT] it cannot be read
      const { code, message } = asStarlingError(error);
      if (code === 'IDENTITY_IN_USE' || code === 'INTERNAL' || code === 'DATA_CORRUPT') throw error;
      return reject(code, message);
    }
  }

  /** Throws where a message in it is not what an honest node would relay. */
  bundle(payload: Uint8Array, from: PeerId): VotesMessage[] {
    const messages = decodeVotesBundle(payload);
    for (const message of messages) {
      const verdict = this.#take(message, from);
      if (verdict.kind === 'reject')
        this.#ctx.ports.journal.log('warn', 'epoch', 'a vote message was rejected', {
          peer: from,
          code: verdict.code,
          reason: verdict.reason,
        });
    }
    return messages;
  }

  /** Beats and votes, for a peer that may have missed them. */
  known(): VotesMessage[] {
    const voting = this.#listener.voting();
    const beats = this.#ctx.reach.beats().map((beat): VotesMessage => ({ kind: 'beat', beat }));
    const messages: VotesMessage[] = [];
    let bytes = 0;
    for (const message of [...voting.known(), ...beats]) {
      bytes += message.kind === 'proposal' ? 64 * 1024 : 256;
      if (bytes > BUNDLE_BUDGET) break;
      messages.push(message);
    }
    return messages;
  }

  #take(message: VotesMessage, from: PeerId): Verdict {
    if (message.kind === 'beat') {
      const refused = judgeBeat(this.#ctx, message.beat);
      if (refused !== undefined) return refused;
      const { beat } = message;
      this.#ctx.reach.hear(beat);
      noteDivergence(this.#ctx, beat);
      if (beat.epoch > this.#ctx.chain.finalized.state.epoch) this.#listener.ahead(beat.node, from);
      this.#listener.beatNews(beat.node);
      return ACCEPT;
    }
    const epoch =
      message.kind === 'vote' ? message.vote.epoch : message.kind === 'proposal' ? message.proposal.epoch : message.certificate.epoch;
    const voting = this.#listener.voting();
    // [IGNORE] of a height that is over, or not begun: its sender lags, or this node does
    if (epoch < voting.epoch) return ignore('EPOCH_PAST', `of epoch ${epoch}, the vote is on ${voting.epoch}`);
    if (epoch > voting.epoch) {
      const node = this.#ctx.directory.nodeOf(from);
      if (node !== undefined) this.#listener.ahead(node, from);
      return ignore('EPOCH_FAR', `of epoch ${epoch}, the vote is on ${voting.epoch}`);
    }
    return voting.take(message);
  }
}
