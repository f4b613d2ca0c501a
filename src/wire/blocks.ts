import {
  type Block,
  type BlockBody,
  type BlockHeader,
  KIB,
  MAX_EVIDENCE,
  MAX_TIPS,
  type QuorumCertificate,
  StarlingError,
} from '../spec/index.ts';
import { readDropped } from './attempt.ts';
import { decode, encode } from './cbor.ts';
import { readEvidence } from './evidence.ts';
import { hashList, readHash, readHashSet, readInt, readList, readOneOf, readRoster, readTuple } from './fields.ts';
import {
  blockHash,
  cutHash,
  droppedFields,
  evidenceFields,
  evidenceHash,
  headerFields,
  rosterHash,
  survivorsHash,
} from './signBytes/index.ts';
import { QUORUM_MAX_BYTES, quorumFields, readQuorum } from './votes.ts';

/** Bytes: tips take 13 KiB at most, a roster 30, drops 11, evidence 5, and the rest less than one. */
export const BLOCK_MAX_BYTES = 64 * KIB;
export const BLOCK_RECORD_MAX_BYTES = BLOCK_MAX_BYTES + QUORUM_MAX_BYTES;

type BodyHashes = Pick<BlockHeader, 'cutHash' | 'rosterHash' | 'survivorsHash' | 'evidenceHash'>;

/** A header without what follows from its body. */
export type HeaderDraft = Omit<BlockHeader, keyof BodyHashes>;

/** The block of these parts. Tips come out ascending, and without what the roster names anyway: one cut has one form. */
export function makeBlock(draft: HeaderDraft, body: BlockBody): Block {
  const roster = new Set(body.roster);
  const tips = [...new Set(body.tips)].filter((id) => !roster.has(id)).sort();
  const { weights, evidence, dropped } = body;
  const header = { ...draft, ...bodyHashes({ ...body, tips }) };
  return { hash: blockHash(header), header, body: { tips, roster: body.roster, weights, evidence, dropped } };
}

const bodyHashes = (body: BlockBody): BodyHashes => ({
  cutHash: cutHash(body.tips, body.roster),
  rosterHash: rosterHash(body.roster, body.weights),
  survivorsHash: survivorsHash(body),
  evidenceHash: evidenceHash(body.evidence),
});

/** [header, [tips, roster, weights, evidence, dropped]]. */
export const encodeBlock = (block: Block): Uint8Array => encode(blockFields(block));

/**
 * Computes the hash, and holds the header's hashes against the body. Throws TOO_LARGE, MALFORMED, NON_CANONICAL,
 * BAD_EVIDENCE, or BAD_BLOCK naming the field that the body contradicts.
 */
export const decodeBlock = (bytes: Uint8Array): Block => readBlock(decode(bytes, 'block', BLOCK_MAX_BYTES), 'block');

export const blockFields = ({ header, body }: Block): readonly unknown[] => [
  headerFields(header),
  [hashList(body.tips), hashList(body.roster), body.weights, body.evidence.map(evidenceFields), droppedFields(body)],
];

export function readBlock(value: unknown, field: string): Block {
  const [headerValue, bodyValue] = readTuple(value, field, 2);
  const header = readHeader(headerValue, field);
  const body = readBody(bodyValue, field);
  const hashes = bodyHashes(body);
  for (const name of ['cutHash', 'rosterHash', 'survivorsHash', 'evidenceHash'] as const)
    if (header[name] !== hashes[name])
      throw badBlock(`${field}.${name}`, `${name} is ${header[name]}, the block's body makes it ${hashes[name]}`);
  return { hash: blockHash(header), header, body };
}

function readHeader(value: unknown, field: string): BlockHeader {
  const [v, swarm, epoch, prev, treeSize, treeRoot, cut, roster, survivors, aggregate, model, state, voters, nextVoters, evidence, timeMs] =
    readTuple(value, `${field}.header`, 16);
  return {
    v: readOneOf(v, `${field}.v`, [1]),
    swarm: readHash(swarm, `${field}.swarm`),
    epoch: readInt(epoch, `${field}.epoch`, 1),
    prev: readHash(prev, `${field}.prev`),
    treeSize: readInt(treeSize, `${field}.treeSize`),
    treeRoot: readHash(treeRoot, `${field}.treeRoot`),
    cutHash: readHash(cut, `${field}.cutHash`),
    rosterHash: readHash(roster, `${field}.rosterHash`),
    survivorsHash: readHash(survivors, `${field}.survivorsHash`),
    aggregateHash: readHash(aggregate, `${field}.aggregateHash`),
    modelRoot: readHash(model, `${field}.modelRoot`),
    stateRoot: readHash(state, `${field}.stateRoot`),
    votersHash: readHash(voters, `${field}.votersHash`),
    nextVotersHash: readHash(nextVoters, `${field}.nextVotersHash`),
    evidenceHash: readHash(evidence, `${field}.evidenceHash`),
    timeMs: readInt(timeMs, `${field}.timeMs`),
  };
}

function readBody(value: unknown, field: string): BlockBody {
  const [tips, rosterValue, weights, evidence, dropped] = readTuple(value, `${field}.body`, 5);
  const { roster, ...rest } = readRoster(rosterValue, weights, field);
  const body: BlockBody = {
    tips: readHashSet(tips, `${field}.tips`, MAX_TIPS),
    roster,
    ...rest,
    evidence: readList(evidence, `${field}.evidence`, MAX_EVIDENCE, readEvidence),
    dropped: readDropped(dropped, roster, `${field}.dropped`),
  };
  // Otherwise two bodies would have one cut hash, and so one block two encodings.
  const rostered = new Set(body.roster);
  if (body.tips.some((id) => rostered.has(id))) throw badBlock(`${field}.tips`, 'a tip is in the roster too');
  return body;
}

const badBlock = (field: string, message: string): StarlingError => new StarlingError('BAD_BLOCK', message, { field });

/** A final block: what is stored, and sent to who missed it. */
export interface BlockRecord {
  readonly block: Block;
  /** Precommits for it. */
  readonly certificate: QuorumCertificate;
}

/** [block, certificate]. */
export const encodeBlockRecord = ({ block, certificate }: BlockRecord): Uint8Array =>
  encode([blockFields(block), quorumFields(certificate)]);

/** As `decodeBlock` and `decodeQuorum`; also throws BAD_QUORUM when the certificate is not of precommits for this block. */
export function decodeBlockRecord(bytes: Uint8Array): BlockRecord {
  const [blockValue, quorumValue] = readTuple(decode(bytes, 'record', BLOCK_RECORD_MAX_BYTES), 'record', 2);
  const block = readBlock(blockValue, 'record.block');
  const certificate = readQuorum(quorumValue, 'record.certificate');
  const expected = { epoch: block.header.epoch, step: 'precommit', block: block.hash } as const;
  for (const part of ['epoch', 'step', 'block'] as const)
    if (certificate[part] !== expected[part])
      throw new StarlingError('BAD_QUORUM', `the certificate's ${part} is ${certificate[part]}, its block's is ${expected[part]}`, {
        field: `record.certificate.${part}`,
      });
  return { block, certificate };
}
