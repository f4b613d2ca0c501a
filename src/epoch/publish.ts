/** Step 4, publish: the manifest goes out on the epoch's topic, the key to every connected member. */
import { encodePayload } from '../aggregation/index.ts';
import { contentOf, fromHex, sealSegments } from '../crypto/index.ts';
import type { EntryOf } from '../ledger/index.ts';
import { INLINE_MESSAGE_MAX_BYTES, INLINE_SWARM_MAX_BYTES } from '../spec/index.ts';
import { encodeEntry, encodeKeysMessage, encodeMetaUpdate, encodeUpdate, epochTopic, ledgerTopic, type UpdateKey } from '../wire/index.ts';
import type { EpochContext } from './context.ts';
import type { OwnUpdate } from './residualRecords.ts';

/** Bytes of a sender's key (ChaCha20-Poly1305). */
const KEY_BYTES = 32;

/** Announces an own contribution of a scheduled epoch: the entry alone, its values go to nobody whole. */
export async function publishEntry(ctx: EpochContext, entry: EntryOf<'contribution'>): Promise<void> {
  const { recipients } = await ctx.ports.gossip.publish(ledgerTopic(ctx.swarm), encodeEntry(entry));
  ctx.ports.journal.log('debug', 'epoch', 'contribution announced', { epoch: entry.core.body.epoch, entry: entry.id, recipients });
}

/** Seals an own update under a fresh key and announces it. A restart draws a new key: nonces never repeat. */
export async function publish(ctx: EpochContext, entry: EntryOf<'contribution'>, update: OwnUpdate): Promise<void> {
  const { entropy, gossip, streams, journal } = ctx.ports;
  const key = entropy.bytes(KEY_BYTES);
  const { encoding } = ctx.genesis;
  const payload = encodePayload(update.integers, ctx.spans, ctx.genesis);
  const plaintext = encodeUpdate({ salt: update.salt, encoding, dtype: update.dtype, payload });
  const sealed = sealSegments(key, fromHex(entry.id), plaintext);
  const { root } = contentOf(sealed);
  const grant: UpdateKey = { id: entry.id, key, cipherRoot: root, cipherBytes: sealed.byteLength };
  ctx.updates.own(entry, grant, sealed, update.integers);
  // The key first: a receiver that has it opens the manifest at once.
  for (const peer of streams.peers()) {
    if (ctx.directory.nodeOf(peer) !== undefined) streams.notify(peer, 'keys', encodeKeysMessage({ kind: 'push', keys: [grant] }));
  }
  const members = Math.max(ctx.chain.head.state.members.length, streams.peers().length + 1);
  const inline = sealed.byteLength <= INLINE_MESSAGE_MAX_BYTES && members * sealed.byteLength <= INLINE_SWARM_MAX_BYTES;
  const manifest = encodeMetaUpdate({ entry, cipherRoot: root, cipherBytes: sealed.byteLength, inline: inline ? sealed : null });
  const { recipients } = await gossip.publish(epochTopic(ctx.swarm, entry.core.body.epoch), manifest);
  journal.log('debug', 'epoch', 'contribution published', {
    epoch: update.epoch,
    entry: entry.id,
    bytes: sealed.byteLength,
    encoding,
    inline,
    recipients,
  });
}
