/** Liars in the negotiation of a roster, and on the ledger it draws from. */
import { optionOf } from '../../consensus/index.ts';
import { contentOf, fromHex, openSegments, sealSegments } from '../../crypto/index.ts';
import { type EntryCore, type EntryId, INLINE_MESSAGE_MAX_BYTES } from '../../spec/index.ts';
import {
  decodeKeysMessage,
  decodeMetaUpdate,
  decodeRosterBundle,
  encodeCore,
  encodeEntry,
  encodeKeysMessage,
  encodeMetaUpdate,
  encodeRosterBundle,
  entryBytes,
  entryId,
  ledgerTopic,
  type MetaUpdate,
  type Stance,
  signMessage,
  stanceBytes,
  UPDATE_CONTEXT,
  type UpdateKey,
} from '../../wire/index.ts';
import { isEpochTopic } from './data.ts';
import type { Behaviour, LiarTools } from './interceptor.ts';

/** Certainty of a stance that knows no doubt. */
const CERTAIN = 65_535;

/** Is always certain, of a smaller roster than it holds, and of another one to each half of its peers. */
export const certaintyLiar = ({ identity, isLeft }: LiarTools): Behaviour => ({
  notify(peer, protocol, payload) {
    if (protocol !== 'roster') return payload;
    const bundle = decodeRosterBundle(payload);
    const stances = bundle.stances.map((stance): Stance => {
      if (stance.node !== identity.fingerprint) return stance;
      const without = isLeft(peer) ? stance.optionIds.slice(1) : stance.optionIds.slice(0, -1);
      const { digest, ids } = optionOf(without);
      const { signature: _, ...body } = stance;
      return signMessage(stanceBytes, { ...body, option: digest, optionIds: ids, prefs: [[digest, CERTAIN]] }, identity);
    });
    return encodeRosterBundle({ ...bundle, stances });
  },
});

/**
 * Signs two contributions at one place of its chain, the second as sound as the first (sealed under the same key, with
 * another sample count), and gives each half of its peers one of them.
 */
export const equivocatingAuthor = ({ identity, port, swarm, isLeft }: LiarTools): Behaviour => {
  const keys = new Map<EntryId, UpdateKey>();
  return {
    notify(_peer, protocol, payload) {
      if (protocol !== 'keys') return payload;
      const message = decodeKeysMessage(payload);
      if (message.kind === 'push') for (const key of message.keys) keys.set(key.id, key);
      return payload;
    },
    publish(topic, data) {
      if (!isEpochTopic(topic)) return false;
      const honest = decodeMetaUpdate(data);
      const twin = twinOf(honest, keys.get(honest.entry.id));
      void port.publishTo(isLeft, topic, data);
      void port.publishTo((peer) => !isLeft(peer), topic, encodeMetaUpdate(twin.update));
      void port.publishTo((peer) => !isLeft(peer), ledgerTopic(swarm), encodeEntry(twin.update.entry));
      const { grant } = twin;
      if (grant !== undefined)
        for (const peer of port.peers()) if (!isLeft(peer)) port.notify(peer, 'keys', encodeKeysMessage({ kind: 'push', keys: [grant] }));
      return true;
    },
  };

  function twinOf(honest: MetaUpdate, grant: UpdateKey | undefined): { readonly update: MetaUpdate; readonly grant?: UpdateKey } {
    const core = honest.entry.core as EntryCore<'contribution'>;
    const other = { ...core, body: { ...core.body, samples: core.body.samples + 1 } };
    const coreBytes = encodeCore(other);
    const message = entryBytes(coreBytes);
    const id = entryId(coreBytes);
    const entry = {
      id,
      core: other,
      coreBytes,
      signature: identity.signEd25519(message),
      composite: identity.signComposite(UPDATE_CONTEXT, message),
    };
    if (grant === undefined || honest.inline === null) return { update: { ...honest, entry } };
    const inline = sealSegments(
      grant.key,
      fromHex(id),
      openSegments(grant.key, fromHex(honest.entry.id), honest.inline, INLINE_MESSAGE_MAX_BYTES),
    );
    const { root } = contentOf(inline);
    return {
      update: { entry, cipherRoot: root, cipherBytes: inline.byteLength, inline },
      grant: { id, key: grant.key, cipherRoot: root, cipherBytes: inline.byteLength },
    };
  }
};
