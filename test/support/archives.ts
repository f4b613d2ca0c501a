/** Blocks, segments and bases right by their form alone: what a store asks of them. */
import type { ArchiveBase, ArchiveSegment, BlockHeader, Leaf, QuorumCertificate, SignedEntry } from '../../src/spec/index.ts';
import { type BlockRecord, blockHash, makeBlock } from '../../src/wire/index.ts';
import { hashOf, SWARM, sealed } from '../unit/ledger/entries.ts';
import { joinCore } from '../unit/wire/samples.ts';

const zero = '0'.repeat(64);
/** Leaves that each epoch appends; the first is a join. */
const LEAVES = 2;

/** `salt` tells apart blocks of one epoch. */
export function blockAt(epoch: number, salt = 0): BlockRecord {
  const roots = { treeRoot: zero, survivorsHash: zero, aggregateHash: zero, modelRoot: zero, stateRoot: zero };
  const block = makeBlock(
    {
      v: 1,
      swarm: SWARM,
      epoch,
      prev: zero,
      treeSize: LEAVES * epoch,
      timeMs: epoch + 1_000 * salt,
      ...roots,
      votersHash: zero,
      nextVotersHash: zero,
    },
    { tips: [], roster: [], weights: [], evidence: [], dropped: [] },
  );
  return { block, certificate: certificateOf(epoch, block.hash) };
}

const certificateOf = (epoch: number, block: string): QuorumCertificate => ({
  epoch,
  round: 0,
  step: 'precommit',
  block,
  votes: [{ voter: zero, signature: new Uint8Array(64).fill(epoch) }],
});

const joinOf = (epoch: number): SignedEntry => sealed({ ...joinCore, anchorBlock: hashOf(`block ${epoch}`) });

/** Of the epochs `from` to `to`, with the last one's handover. */
export function segmentOf(from: number, to: number): ArchiveSegment {
  const headers: BlockHeader[] = [];
  const joins: SignedEntry[] = [];
  const leaves: Leaf[] = [];
  for (let epoch = from; epoch <= to; epoch++) {
    const before = headers.at(-1);
    headers.push({ ...blockAt(epoch).block.header, prev: before === undefined ? zero : blockHash(before) });
    const join = joinOf(epoch);
    joins.push(join);
    leaves.push({ id: join.id, prev: null, lam: 1, void: false });
    leaves.push({ id: hashOf(`leaf ${epoch}`), prev: LEAVES * (epoch - 1), lam: 2, void: epoch % 2 === 0 });
  }
  const handovers = [{ certificate: certificateOf(to, hashOf(`block ${to}`)), voters: [zero] }];
  return { headers, treeSize: LEAVES * (from - 1), leaves, joins, handovers, certificate: certificateOf(to, hashOf(`block ${to}`)) };
}

export const baseAt = (epoch: number, stateBytes = 3): ArchiveBase => ({
  epoch,
  certificate: certificateOf(epoch, hashOf(`block ${epoch}`)),
  state: new Uint8Array(stateBytes).fill(epoch),
});
