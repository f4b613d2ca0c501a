/** Step 5, verify: what comes by gossip is accepted, ignored or rejected, each with its reason. */
import { contentOf } from '../crypto/index.ts';
import { type EntryOf, isKind } from '../ledger/index.ts';
import { ACCEPT, asStarlingError, GOSSIP_MAX_BYTES, ignore, reject, type SignedEntry, type Verdict } from '../spec/index.ts';
import { decodeEntry, decodeMetaUpdate, epochTopic, ledgerTopic, type MetaUpdate, parseTopic } from '../wire/index.ts';
import { ineligible } from './audit.ts';
import type { EpochContext } from './context.ts';

/** What follows from a message beside its verdict. */
export interface Gossiped {
  readonly verdict: Verdict;
  /** Parents that the ledger lacks: whoever sent the message has them. */
  readonly missing: readonly string[];
  /** A manifest whose entry is on the ledger now. */
  readonly update?: MetaUpdate & { readonly entry: EntryOf<'contribution'> };
}

const answered = (verdict: Verdict): Gossiped => ({ verdict, missing: [] });

/** Judges one gossip message. Accepted entries are on disk when this returns. Never throws on a stranger's bytes. */
export function verifyGossip(ctx: EpochContext, topic: string, data: Uint8Array): Gossiped {
  // [REJECT] larger than anything that is gossiped
  if (data.byteLength > GOSSIP_MAX_BYTES)
    return answered(reject('TOO_LARGE', `${data.byteLength} bytes, the bound is ${GOSSIP_MAX_BYTES}`));
  try {
    const parsed = parseTopic(topic);
    if (topic === ledgerTopic(ctx.swarm)) return verifyEntry(ctx, decodeEntry(data));
    // [IGNORE] another swarm's topic, or an epoch that is not collected now
    if (parsed.kind !== 'epoch' || topic !== epochTopic(ctx.swarm, parsed.epoch)) return answered(ignore('WRONG_SWARM', topic));
    return verifyManifest(ctx, decodeMetaUpdate(data), parsed.epoch);
  } catch (error) {
    // [REJECT] it cannot be read, or says other than what it is signed for
    const { code, message } = asStarlingError(error);
    if (code === 'IDENTITY_IN_USE' || code === 'INTERNAL' || code === 'DATA_CORRUPT') throw error;
    return answered(reject(code, message));
  }
}

function verifyEntry(ctx: EpochContext, entry: SignedEntry): Gossiped {
  // [IGNORE] held already
  if (ctx.replica.graph.has(entry.id)) return answered(ignore('DUPLICATE', 'the entry is on the ledger'));
  const { missing, rejected } = ctx.replica.offer([entry]);
  const refusal = rejected.find((r) => r.entry.id === entry.id);
  // [REJECT] it breaks a rule of the ledger
  if (refusal !== undefined) return answered(reject(refusal.code, refusal.reason));
  // What followed it may miss parents still; the entry itself is on the ledger.
  if (ctx.replica.graph.has(entry.id)) return { verdict: ACCEPT, missing };
  // [IGNORE] it may be fine, but what it stands on is not here
  return { verdict: ignore('MISSING_PARENT', missing.join(' ')), missing };
}

function verifyManifest(ctx: EpochContext, update: MetaUpdate, epoch: number): Gossiped {
  const { entry } = update;
  if (!isKind(entry, 'contribution')) return answered(reject('MALFORMED', 'a manifest must speak of a contribution'));
  // [REJECT] the topic of one epoch carries the updates of that epoch
  if (entry.core.body.epoch !== epoch)
    return answered(reject('INCOMPATIBLE', `an update of epoch ${entry.core.body.epoch} on the topic of ${epoch}`));
  // [REJECT] no update of this swarm is that large
  if (update.cipherBytes > ctx.updates.maxSealedBytes())
    return answered(
      reject(
        'BOUNDS_EXCEEDED',
        `payload.cipherBytes is ${update.cipherBytes}, an update has at most ${ctx.updates.maxSealedBytes()} bytes`,
      ),
    );
  const current = ctx.chain.head.state.epoch + 1;
  // [IGNORE] an honest node that lags says this too
  if (epoch < current) {
    ctx.replica.offer([entry]);
    return answered(ignore('EPOCH_REGRESSION', `an update of epoch ${epoch}, the swarm collects for ${current}`));
  }
  // [IGNORE] the same manifest came by another way
  if (ctx.updates.sealed(update.cipherRoot) !== undefined) return answered(ignore('DUPLICATE', 'the update is held'));
  const offered = ctx.replica.graph.has(entry.id) ? undefined : verifyEntry(ctx, entry);
  if (offered !== undefined && offered.verdict.kind !== 'accept') return offered;
  if (epoch === current) {
    // [REJECT] its author may not contribute this to the epoch it names
    const problem = entry.core.anchorBlock === ctx.chain.head.id ? ineligible(ctx, ctx.chain.head.state, entry) : undefined;
    if (problem !== undefined) return answered(reject('INCOMPATIBLE', problem));
    // [IGNORE] its values are summed over streams: its entry is all that is wanted of it
    if (entry.core.body.commitment !== null || ctx.isScheduled(ctx.chain.head.state))
      return { verdict: ignore('INCOMPATIBLE', 'the epoch goes by a schedule'), missing: offered?.missing ?? [] };
  }
  // [REJECT] the bytes that ride along are not those the manifest names
  if (update.inline !== null && contentOf(update.inline).root !== update.cipherRoot)
    return answered(reject('HASH_MISMATCH', 'the inline update does not hash to its root'));
  // [IGNORE] another manifest of this contribution came first: its author may have started again, or anybody may lie
  if (!ctx.updates.announce(entry.id, update.cipherRoot))
    return answered(ignore('DUPLICATE', 'payload.cipherRoot is not the one that the first manifest of this contribution names'));
  return { verdict: ACCEPT, missing: offered?.missing ?? [], update: { ...update, entry } };
}
