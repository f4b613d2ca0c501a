import { randomBytes } from 'node:crypto';
import { contentOf, fromHex, type Identity, type IdentitySeeds, identityFromSeeds, sealSegments } from '../../src/crypto/index.ts';
import type { AnyEntryCore, ContributionBody, EntryCore, Genesis, SignedEntry, SwarmId } from '../../src/spec/index.ts';
import {
  encodeCore,
  encodeKeysMessage,
  encodeUpdate,
  entryBytes,
  entryId,
  type MetaUpdate,
  makeCertificate,
  parameterCount,
  UPDATE_CONTEXT,
  updateHash,
} from '../../src/wire/index.ts';

export const random = (length: number): Uint8Array => new Uint8Array(randomBytes(length));
export const newSeeds = (): IdentitySeeds => ({ mldsaSeed: random(32), ed25519Seed: random(32) });

/**
 * Writes one chain of entries by the book, and whatever else a test makes of them. Its class is edge: it may contribute,
 * and no negotiation waits for its voice.
 */
export class Author {
  readonly identity: Identity;
  readonly swarm: SwarmId;
  readonly genesis: Genesis;
  readonly join: SignedEntry;
  #tip: SignedEntry;

  constructor(seeds: IdentitySeeds, swarm: SwarmId, genesis: Genesis) {
    const identity = identityFromSeeds(seeds);
    this.identity = identity;
    this.swarm = swarm;
    this.genesis = genesis;
    const certificate = makeCertificate(identity, 'edge', []);
    const core = {
      seq: 0,
      prev: null,
      lam: 1,
      epochSeen: 0,
      anchorBlock: '0'.repeat(64),
      kind: 'join',
      body: { certificate, invite: null },
    } as const;
    this.join = this.sign({ v: 1, swarm, author: identity.fingerprint, deps: [], ...core });
    this.#tip = this.join;
  }

  /** Signs anything, with the composite signature where the kind asks for one. */
  sign(core: AnyEntryCore): SignedEntry {
    const coreBytes = encodeCore(core);
    const message = entryBytes(coreBytes);
    const entry = { id: entryId(coreBytes), core, coreBytes, signature: this.identity.signEd25519(message) };
    return core.kind === 'contribution' ? { ...entry, composite: this.identity.signComposite(UPDATE_CONTEXT, message) } : entry;
  }

  /** The contribution that would come next on the chain. The chain goes on from it only after `extend`. */
  next(body: ContributionBody, anchorBlock: string): SignedEntry & { readonly core: EntryCore<'contribution'> } {
    const { id, core: tip } = this.#tip;
    const place = { seq: tip.seq + 1, prev: id, lam: tip.lam + 1, epochSeen: body.epoch - 1, anchorBlock, deps: [] };
    const core: EntryCore<'contribution'> = {
      v: 1,
      swarm: this.swarm,
      author: this.identity.fingerprint,
      kind: 'contribution',
      ...place,
      body,
    };
    return { ...this.sign(core), core };
  }

  extend(entry: SignedEntry): void {
    this.#tip = entry;
  }

  /** A right contribution whose integers are all `value`, with its manifest and the message that hands its key over. */
  contribution(epoch: number, anchorBlock: string, value = 1): Contribution {
    const { tensors } = this.genesis;
    const ints = new Uint8Array(new Int16Array(parameterCount(tensors)).fill(value).buffer);
    const [salt, key] = [random(32), random(32)];
    const maxAbs = tensors.map(() => Math.abs(value));
    const body = {
      epoch,
      updateHash: updateHash(salt, ints),
      sizeBytes: ints.byteLength,
      samples: 10,
      maxAbs,
      metrics: {},
      commitment: null,
      staleness: 0,
      links: [],
    };
    const entry = this.next(body, anchorBlock);
    return { entry, ...sealed(entry, key, encodeUpdate({ salt, encoding: 'dense', dtype: 'int16', payload: ints })) };
  }
}

export interface Contribution {
  readonly entry: SignedEntry & { readonly core: EntryCore<'contribution'> };
  readonly manifest: MetaUpdate;
  /** A push of the `keys` protocol. */
  readonly keys: Uint8Array;
}

/** Manifest and key of an entry whose update is this plaintext, as it should be or not. */
export function sealed(entry: SignedEntry, key: Uint8Array, plaintext: Uint8Array): Omit<Contribution, 'entry'> {
  const inline = sealSegments(key, fromHex(entry.id), plaintext);
  const cipherRoot = contentOf(inline).root;
  const cipherBytes = inline.byteLength;
  return {
    manifest: { entry, cipherRoot, cipherBytes, inline },
    keys: encodeKeysMessage({ kind: 'push', keys: [{ id: entry.id, key, cipherRoot, cipherBytes }] }),
  };
}
