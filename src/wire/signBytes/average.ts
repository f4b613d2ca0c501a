/** What members of an attempt sign: the chunks they send, and what they found. */
import { type Fingerprint, type Hex, TRANSFER_PHASES, type TransferPhase } from '../../spec/index.ts';
import { encode } from '../cbor.ts';
import { hashBytes, hashList } from '../fields.ts';
import { DOMAINS, withDomain } from './domains.ts';

/** Names one chunk of an attempt, and what it held. */
export interface ChunkBody {
  /** Id of the attempt. */
  readonly attempt: Hex;
  /** Which of the sums that are made side by side: 0 of rho's digits, 1 of the values. */
  readonly lane: number;
  readonly step: number;
  readonly from: Fingerprint;
  readonly to: Fingerprint;
  readonly chunk: number;
  /** sha256 of its bytes. */
  readonly hash: Hex;
}

export const chunkBytes = (body: ChunkBody): Uint8Array =>
  withDomain(
    DOMAINS.chunk,
    encode([hashBytes(body.attempt), body.lane, body.step, hashBytes(body.from), hashBytes(body.to), body.chunk, hashBytes(body.hash)]),
  );

/** A link over which a chunk did not come, or came wrong; signed by one of its ends. */
export interface AccusedEdge {
  readonly phase: TransferPhase;
  readonly from: Fingerprint;
  readonly to: Fingerprint;
  readonly chunk: number;
  /** For people: silent, unanswered, or the code of what was wrong. */
  readonly reason: string;
}

/** What a member of an attempt has found so far. The one with the highest `seq` counts. */
export interface FindingBody {
  readonly epoch: number;
  /** Id of the attempt. */
  readonly attempt: Hex;
  readonly node: Fingerprint;
  readonly seq: number;
  /** It takes the attempt for failed, and this is all it says of it: links of its own, and whom it does not reach, ascending. */
  readonly failure: { readonly accused: readonly AccusedEdge[]; readonly unreachable: readonly Fingerprint[] } | null;
  /** Whom it found to have made the sum wrong, ascending. */
  readonly culprits: readonly Fingerprint[];
  /** Digest of the sum that it holds and has checked against the commitments. */
  readonly done: Hex | null;
}

export const findingFields = (finding: FindingBody): readonly unknown[] => [
  finding.epoch,
  hashBytes(finding.attempt),
  hashBytes(finding.node),
  finding.seq,
  finding.failure === null
    ? null
    : [
        finding.failure.accused.map((edge) => [
          TRANSFER_PHASES.indexOf(edge.phase),
          hashBytes(edge.from),
          hashBytes(edge.to),
          edge.chunk,
          edge.reason,
        ]),
        hashList(finding.failure.unreachable),
      ],
  hashList(finding.culprits),
  finding.done === null ? null : hashBytes(finding.done),
];

export const findingBytes = (finding: FindingBody): Uint8Array => withDomain(DOMAINS.finding, encode(findingFields(finding)));
