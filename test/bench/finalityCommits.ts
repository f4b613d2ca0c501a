/** The parts of finality on one machine: a vote's processor time, and what becomes durable. */
import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { quorumOf, Tendermint } from '../../src/consensus/index.ts';
import { verifyEd25519 } from '../../src/crypto/index.ts';
import type { SignedEntry } from '../../src/spec/index.ts';
import { openBlocks, openLedger } from '../../src/storage/index.ts';
import { type BlockRecord, encodeBlockRecord, makeBlock, signVote, verifyVote, voteBytes } from '../../src/wire/index.ts';
import { againstOther, finalityRow } from './finalityRow.ts';
import type { BenchRow } from './row.ts';
import { median } from './samples.ts';
import { identityOf, SWARM, signedLedger } from './signedLedger.ts';
import { temporaryFolder } from './temporary.ts';

/** Commits that the quantiles are of. */
const COMMITS = 200;
/** Voters of the certificates, and contributions in each block. */
const VOTERS = 16;
/** Votes measured together, and how often. */
const VOTES = 100;
const RUNS = 7;

/** An entry, and a block with its certificate, each durable when the call returns; the same bytes to a plain file beside. */
export function commitRows(): BenchRow[] {
  using temporary = temporaryFolder();
  const baseline = 'plain file append and fsync';
  const entries = signedLedger(4, COMMITS, true).slice(0, COMMITS);
  using ledger = openLedger(join(temporary.path, 'ledger.db'));
  const entry = each(entries, (one) => ledger.append([one]));
  const plainEntries = appended(join(temporary.path, 'entries'), entries.map(bytesOf));
  const records = recordsOf(COMMITS);
  using blocks = openBlocks(join(temporary.path, 'blocks.db'));
  const block = each(records, (one) => blocks.append(one));
  const plainBlocks = appended(join(temporary.path, 'blocks'), records.map(encodeBlockRecord));
  return [
    ...againstOther('durable commit of an entry', entry, baseline, plainEntries),
    ...againstOther(`durable commit of a block of ${VOTERS} after its certificate`, block, baseline, plainBlocks),
  ];
}

/** Signing one vote, and checking and counting one. */
export function voteRows(): BenchRow[] {
  const identities = Array.from({ length: VOTES }, (_, i) => identityOf(`author ${i % VOTERS}`));
  const voters = Array.from({ length: VOTES }, (_, i) => i.toString(16).padStart(64, '0'));
  const [signing, checking, bare]: [number[], number[], number[]] = [[], [], []];
  for (let run = 0; run < RUNS; run++) {
    const bodies = voters.map((voter) => ({ epoch: 7, round: 0, step: 'prevote', block: `${run}`.repeat(64), voter }) as const);
    const startMs = performance.now();
    const votes = bodies.map((body, i) => signVote(SWARM, body, identities[i] as (typeof identities)[number]));
    const signedMs = performance.now();
    const machine = new Tendermint({ epoch: 7, voters, self: voters[0], proposers: voters });
    machine.start();
    for (const [i, vote] of votes.entries()) {
      if (!verifyVote(SWARM, vote, identities[i]?.ed25519PublicKey as Uint8Array)) throw new Error('a vote is not signed');
      machine.onVote(vote);
    }
    const countedMs = performance.now();
    const messages = votes.map((vote) => voteBytes(SWARM, vote));
    const bareMs = performance.now();
    for (const [i, vote] of votes.entries())
      verifyEd25519(messages[i] as Uint8Array, vote.signature, identities[i]?.ed25519PublicKey as Uint8Array);
    bare.push((performance.now() - bareMs) / VOTES);
    signing.push((signedMs - startMs) / VOTES);
    checking.push((countedMs - signedMs) / VOTES);
  }
  const row = (what: string, samples: readonly number[]): BenchRow =>
    finalityRow(what, median(samples), 'ms', 'bare Ed25519 verify', median(samples) / median(bare), RUNS * VOTES);
  return [row('processor time to sign a vote', signing), row(`processor time to check and count a vote, n ${VOTES}`, checking)];
}

/** Blocks of VOTERS contributions, each with a bare quorum of precommits, one epoch after the other. */
function recordsOf(count: number): BlockRecord[] {
  const identities = Array.from({ length: VOTERS }, (_, i) => identityOf(`author ${i}`));
  const hash = (of: number): string => of.toString(16).padStart(64, '0');
  return Array.from({ length: count }, (_, i) => {
    const roots = { treeRoot: hash(i), survivorsHash: hash(i), aggregateHash: hash(i), modelRoot: hash(i), stateRoot: hash(i) };
    const voters = { votersHash: hash(VOTERS), nextVotersHash: hash(VOTERS) };
    const header = {
      v: 1,
      swarm: SWARM,
      epoch: i + 1,
      prev: hash(i),
      treeSize: 2 * VOTERS * (i + 1),
      ...roots,
      ...voters,
      timeMs: i,
    } as const;
    const roster = identities.map((_identity, k) => hash(1_000_000 + i * VOTERS + k));
    const tips = identities.map((_identity, k) => hash(2_000_000 + i * VOTERS + k));
    const block = makeBlock(header, { tips, roster, weights: roster.map(() => 4_096), evidence: [], dropped: [] });
    const place = { epoch: i + 1, round: 0, step: 'precommit', block: block.hash } as const;
    const votes = identities.slice(0, quorumOf(VOTERS)).map((identity) => {
      const voter = identity.fingerprint;
      return { voter, signature: signVote(SWARM, { ...place, voter }, identity).signature };
    });
    return { block, certificate: { ...place, votes: votes.sort((a, b) => (a.voter < b.voter ? -1 : 1)) } };
  });
}

const bytesOf = ({ coreBytes, signature, composite }: SignedEntry): Uint8Array =>
  Buffer.concat([coreBytes, signature, ...(composite === undefined ? [] : [composite])]);

function appended(path: string, pieces: readonly Uint8Array[]): number[] {
  const file = openSync(path, 'ax');
  try {
    return each(pieces, (piece) => {
      writeSync(file, piece);
      fsyncSync(file);
    });
  } finally {
    closeSync(file);
  }
}

function each<T>(items: readonly T[], work: (item: T) => unknown): number[] {
  return items.map((item) => {
    const startMs = performance.now();
    work(item);
    return performance.now() - startMs;
  });
}
