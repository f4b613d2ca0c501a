import { sha256, toHex, utf8 } from '../../crypto/index.ts';
import type { Hex } from '../../spec/index.ts';

/** Domains of what is hashed or signed; composite signatures have their context on top. */
export const DOMAINS = {
  entry: 'starling/entry/1',
  decision: 'starling/decision/1',
  aggregate: 'starling/aggregate/1',
  beacon: 'starling/beacon/1',
  rank: 'starling/rank/1',
  attempt: 'starling/attempt/1',
  chunk: 'starling/chunk/1',
  finding: 'starling/finding/1',
  sketch: 'starling/sketch/1',
  attest: 'starling/attest/1',
  stance: 'starling/stance/1',
  have: 'starling/have/1',
  invite: 'starling/invite/1',
  cut: 'starling/cut/1',
  roster: 'starling/roster/1',
  survivors: 'starling/survivors/1',
  voters: 'starling/voters/1',
  evidence: 'starling/evidence/1',
  block: 'starling/block/1',
  proposal: 'starling/proposal/1',
  vote: 'starling/vote/1',
  beat: 'starling/beat/1',
  record: 'starling/record/1',
  event: 'starling/event/1',
  leaves: 'starling/leaves/1',
} as const;

/** Contexts of composite signatures (PROTOCOL section 1). */
export const CERTIFICATE_CONTEXT = 'starling/certificate/1';
export const UPDATE_CONTEXT = 'starling/update/1';
export const INVITE_CONTEXT = 'starling/invite/1';
export const BLOCK_CONTEXT = 'starling/block/1';
export const CHECKPOINT_CONTEXT = 'starling/checkpoint/1';

const ZERO_BYTE = Uint8Array.of(0);
export const withDomain = (domain: string, body: Uint8Array): Uint8Array => Buffer.concat([utf8(domain), ZERO_BYTE, body]);
export const hashOf = (message: Uint8Array): Hex => toHex(sha256(message));
