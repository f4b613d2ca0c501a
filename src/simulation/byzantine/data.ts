/** Liars about data: what they hold, what they hold back, and what they hand out in its place. */

import type { StreamProtocol } from '../../epoch/ports.ts';
import { decodeMetaUpdate, encodeMetaUpdate, parseTopic } from '../../wire/index.ts';
import { type Behaviour, type LiarTools, noAnswer, refusal } from './interceptor.ts';

/** Listens, and neither says nor answers anything. */
export const silent = (): Behaviour => ({ publish: () => true, notify: () => undefined, answer: noAnswer });

/** Bulk data: what a member owes the others. */
const OWED: readonly StreamProtocol[] = ['content', 'keys', 'head', 'blocks', 'average'];

/** Announces its updates and hands over neither values nor keys, its sums and blocks neither; half its peers do not even hear of them. */
export const withholding = ({ port, isLeft }: LiarTools): Behaviour => ({
  publish(topic, data) {
    if (!isEpochTopic(topic)) return false;
    void port.publishTo(isLeft, topic, encodeMetaUpdate({ ...decodeMetaUpdate(data), inline: null }));
    return true;
  },
  notify: (_peer, protocol, payload) => (protocol === 'keys' ? undefined : payload),
  async answer(from, protocol, payload, honest) {
    if (OWED.includes(protocol)) throw refusal(protocol);
    return honest(from, payload);
  },
});

/** Ways to answer wrongly, one after another. */
const LIES = ['junk', 'flipped', 'stale', 'empty', 'honest', 'never'] as const;
/** Bytes of junk. */
const JUNK_BYTES = 512;

/** Answers every question about ledger, blocks, sums and content with junk, damaged, old, empty, true and no bytes in turn. */
export const lyingSync = ({ random }: LiarTools): Behaviour => {
  const kept = new Map<StreamProtocol, Uint8Array>();
  let asked = 0;
  return {
    async answer(from, protocol, payload, honest) {
      if (protocol === 'roster' || protocol === 'votes') return honest(from, payload);
      const truth = (await honest(from, payload)) ?? new Uint8Array();
      const stale = kept.get(protocol) ?? truth;
      if (!kept.has(protocol)) kept.set(protocol, truth);
      switch (LIES[asked++ % LIES.length]) {
        case 'junk':
          return Uint8Array.from({ length: 1 + random.below(JUNK_BYTES) }, () => random.below(256));
        case 'flipped': {
          const damaged = Uint8Array.from(truth);
          const at = random.below(Math.max(1, damaged.length));
          if (damaged.length > 0) damaged[at] = (damaged[at] as number) ^ (1 << random.below(8));
          return damaged;
        }
        case 'stale':
          return stale;
        case 'empty':
          return new Uint8Array();
        case 'never':
          return noAnswer();
        default:
          return truth;
      }
    },
  };
};

/** Whether a topic is an epoch's updates. */
export function isEpochTopic(topic: string): boolean {
  return parseTopic(topic).kind === 'epoch';
}
