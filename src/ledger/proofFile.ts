import { z } from 'zod';
import { COMPOSITE_SIGNATURE_BYTES, ED25519_PUBLIC_KEY_BYTES, ED25519_SIGNATURE_BYTES, MLDSA_PUBLIC_KEY_BYTES } from '../crypto/index.ts';
import { ENTRY_MAX_BYTES, GENESIS_MAX_BYTES, MAX_ROUNDS, MAX_VOTERS, MIB, StarlingError } from '../spec/index.ts';
import { BLOCK_MAX_BYTES } from '../wire/index.ts';

/** Bytes of a proof file that a reader takes in: a committee of 300 that changed a hundred times stays below. */
export const PROOF_MAX_BYTES = 32 * MIB;
/** Hashes. A path in a tree of 2^53 leaves has one a level. */
const MAX_PATH = 53;
/** Changes of the committee between the genesis and a block. */
const MAX_HANDOVERS = 10_000;
/** Characters. A checkpoint's note has some 5,000. */
const NOTE_MAX = 65_536;

/** Lower-case hexadecimal only: two spellings of one value would be two files with one meaning. */
const bytesBetween = (minBytes: number, maxBytes: number) =>
  z
    .string()
    .min(2 * minBytes)
    .max(2 * maxBytes)
    .regex(/^(?:[0-9a-f]{2})*$/, 'expected lower-case hexadecimal digits');
const bytes = (length: number) => bytesBetween(length, length);
const Hash = bytes(32);
const Count = z.int().min(0);
const Path = z.array(Hash).max(MAX_PATH);

const Header = z.strictObject({
  v: z.literal(1),
  swarm: Hash,
  epoch: z.int().min(1),
  prev: Hash,
  treeSize: Count,
  treeRoot: Hash,
  cutHash: Hash,
  rosterHash: Hash,
  survivorsHash: Hash,
  aggregateHash: Hash,
  modelRoot: Hash,
  stateRoot: Hash,
  votersHash: Hash,
  nextVotersHash: Hash,
  evidenceHash: Hash,
  timeMs: Count,
});

const Vote = z.strictObject({ voter: Hash, signature: bytes(ED25519_SIGNATURE_BYTES) });

const Certificate = z.strictObject({
  epoch: z.int().min(1),
  round: z.int().min(0).max(MAX_ROUNDS),
  step: z.literal('precommit'),
  block: Hash,
  votes: z.array(Vote).max(MAX_VOTERS),
});

/** A block as the ledger's order knows it: what was voted on, and the votes of q of its committee. */
const FinalBlock = z.strictObject({ header: Header, certificate: Certificate });

/** Public keys of a node whose signature the file or the checkpoint holds; `node` is their hash. */
const Keys = z.strictObject({ node: Hash, mldsa: bytes(MLDSA_PUBLIC_KEY_BYTES), ed25519: bytes(ED25519_PUBLIC_KEY_BYTES) });

/** RFC 9162 section 2.1.4: that the tree of `from` leaves is a prefix of the tree of `to` leaves. */
const Consistency = z.strictObject({ from: Count, to: Count, path: Path });

/**
 * Siblings from a leaf up to the root of a Merkle tree, each with its side. Unlike an RFC 9162 path it needs no index and no
 * tree size, which nothing would vouch for.
 */
const Climb = z.array(z.strictObject({ side: z.enum(['left', 'right']), hash: Hash })).max(MAX_PATH);

const common = {
  v: z.literal(1),
  swarm: Hash,
  /** Of every voter, author and signer that the genesis does not name. */
  keys: z.array(Keys).max(4 * MAX_VOTERS),
};

/** What leads from the swarm's genesis to a final block, and from its tree to the checkpoint's. */
const chain = {
  /** Canonical CBOR; its sha256 is the swarm. It names the first committee. */
  genesis: bytesBetween(1, GENESIS_MAX_BYTES),
  /** Each block before `block` that changed the committee, oldest first, with the committee that it elected, ascending. */
  handovers: z.array(FinalBlock.extend({ voters: z.array(Hash).max(MAX_VOTERS) })).max(MAX_HANDOVERS),
  block: FinalBlock,
  /** Between the tree of `block` and the checkpoint's, the smaller first; null when one is the other. */
  consistency: Consistency.nullable(),
};

const Entry = z.strictObject({
  /** Canonical CBOR; its hash is the entry's id, and that is the leaf. */
  core: bytesBetween(1, ENTRY_MAX_BYTES),
  signature: bytes(ED25519_SIGNATURE_BYTES),
  /** Null where the kind of entry has none, or where it was pruned. */
  composite: bytes(COMPOSITE_SIGNATURE_BYTES).nullable(),
  index: Count,
  path: Path,
});

const Record = z.strictObject({
  nodeId: Hash,
  deltaHash: Hash,
  trustBefore: Count,
  trustAfter: Count,
  parentBlock: Hash,
});

const Event = z.strictObject({
  timestamp: Count,
  metaHash: Hash,
  fusionEntropy: Count,
  complianceScore: Count,
  federatedHash: Hash,
});

const ProofSchema = z.discriminatedUnion('kind', [
  /** That an entry is in the ledger. */
  z.strictObject({ kind: z.literal('entry'), ...common, ...chain, entry: Entry }),
  /** What a contribution of `block` did to its author's standing: from the record up to the state root of the header. */
  z.strictObject({ kind: z.literal('record'), ...common, ...chain, record: Record, path: Climb, recordsRoot: Hash, statePath: Climb }),
  /** The system event of `block`, after the head of the events' chain before it. */
  z.strictObject({ kind: z.literal('event'), ...common, ...chain, previous: Hash, event: Event, statePath: Climb }),
  /** That a block is final, with everything that its header stands for (wire/block.ts, encodeBlock). */
  z.strictObject({ kind: z.literal('block'), ...common, ...chain, content: bytesBetween(1, BLOCK_MAX_BYTES) }),
  /** That the checkpoint's ledger holds everything of an earlier checkpoint's, in its place. */
  z.strictObject({ kind: z.literal('consistency'), ...common, since: z.string().max(NOTE_MAX), consistency: Consistency }),
]);

/**
 * A proof that needs nothing but a checkpoint (docs/proofs.md). A JSON object; hashes, keys, signatures and encodings
 * are lower-case hexadecimal. Every field is checked by the audit: nothing in the file is there for reading only.
 */
export type Proof = z.output<typeof ProofSchema>;
export type ChainProof = Exclude<Proof, { kind: 'consistency' }>;

/** Throws BAD_PROOF naming the first field that no proof of version 1 has, or lacks. */
export function parseProof(text: string): Proof {
  if (text.length > PROOF_MAX_BYTES) throw notAProof('proof', `has ${text.length} characters, at most ${PROOF_MAX_BYTES} are read`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw notAProof('proof', `is not JSON: ${(cause as Error).message}`);
  }
  const parsed = ProofSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const path = [...(issue?.path ?? []), ...(issue?.code === 'unrecognized_keys' ? issue.keys : [])].join('.');
  throw notAProof(path === '' ? 'proof' : `proof.${path}`, `is not as in a proof of version 1: ${issue?.message}`);
}

const notAProof = (field: string, problem: string): StarlingError =>
  new StarlingError('BAD_PROOF', `${field} ${problem}`, { field, fix: 'take the file as `starling ledger prove --out` wrote it' });
