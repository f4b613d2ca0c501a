import assert from 'node:assert/strict';
import { type ArchivedCut, ArchiveReader, segmentsOf } from '../../../src/consensus/index.ts';
import { EMPTY_ROOT, toHex } from '../../../src/crypto/index.ts';
import { Random } from '../../../src/learning/random.ts';
import { isWhole } from '../../../src/ledger/index.ts';
import type { ArchiveBase, ArchiveSegment, BlockHeader, Handover, Leaf, SignedEntry, SwarmState } from '../../../src/spec/index.ts';
import { StarlingError } from '../../../src/spec/index.ts';
import { decodeState, encodeState, initialState, quorumOf, votersOf } from '../../../src/state/index.ts';
import {
  blockHash,
  compress,
  decodeBase,
  decodeSegment,
  decompress,
  encodeBase,
  encodeCore,
  encodeSegment,
  entryBytes,
  entryId,
  SEGMENT_MAX_BYTES,
} from '../../../src/wire/index.ts';
import { baseOf, cutsOf, segmentAt } from '../../support/archivedChain.ts';
import { FinalChain, identityNamed } from '../../support/finalChain.ts';

const founders = ['ada', 'bob', 'cyd', 'dan'].map(identityNamed);
const [ada, bob, cyd] = founders as [(typeof founders)[0], (typeof founders)[0], (typeof founders)[0]];
const eve = identityNamed('eve');
const END = 7;
/** The committee changes here: eve has a vote from the next block on. */
const HANDOVER = 3;

/** Seven blocks: founders join, eve joins with a vote, bob forks, everyone contributes. */
function history(): FinalChain {
  const chain = new FinalChain(founders);
  const joins = founders.map((founder) => chain.join(founder));
  chain.finalise([], joins);
  chain.finalise(founders.map((founder) => chain.contribute(founder)));
  chain.finalise([], [chain.join(eve, chain.invite(ada, true))]);
  chain.finalise([ada, eve].map((author) => chain.contribute(author)));
  const side = chain.append(bob, 'membership', { action: 'away' });
  chain.finalise([], [side, otherSide(chain, side)]);
  chain.finalise([], []);
  chain.finalise([cyd, eve].map((author) => chain.contribute(author)));
  return chain;
}

/** Bob signs another entry in the same place. */
function otherSide(chain: FinalChain, { core }: SignedEntry): SignedEntry {
  const coreBytes = encodeCore({ ...core, epochSeen: core.epochSeen + 1 });
  const forked = { ...core, epochSeen: core.epochSeen + 1 };
  const entry = { id: entryId(coreBytes), core: forked, coreBytes, signature: bob.signEd25519(entryBytes(coreBytes)) };
  chain.graph.add(entry);
  return entry;
}

describe('an archive', function () {
  this.timeout(30_000);
  const chain = history();
  const state = (epoch: number): SwarmState => chain.states[epoch] as SwarmState;
  const genesis = initialState(chain.genesis, chain.swarm, toHex(EMPTY_ROOT));
  /** One of a node that stands after block `epoch`. */
  const readerAt = (epoch: number): ArchiveReader => {
    const start = epoch === 0 ? genesis : state(epoch);
    const leaves = chain.order.slice(0, start.treeSize).map(({ entry }) => entry);
    return new ArchiveReader({ swarm: chain.swarm, state: start, leaves });
  };
  const read = (segments: readonly ArchiveSegment[], base: ArchiveBase, from = 0) => {
    const reader = readerAt(from);
    for (const segment of segments) reader.add(segment);
    return reader.finish(base);
  };
  const whole = segmentAt(chain, 1, END);
  const base = baseOf(chain, END);
  const [first, second, third] = [segmentAt(chain, 1, 2), segmentAt(chain, 3, 4), segmentAt(chain, 5, END)];

  /** The code and the field of what is thrown. */
  const refusal = (segments: readonly ArchiveSegment[], given: ArchiveBase = base): string => {
    try {
      read(segments, given);
    } catch (error) {
      assert.ok(error instanceof StarlingError, String(error));
      return `${error.code} ${error.facts.field ?? error.facts.peer}`;
    }
    assert.fail('it was accepted');
  };
  const idOf = (index: number): string => chain.order.at(index)?.entry.id as string;

  it('leads from any final block to the state after its last', () => {
    assert.ok(
      whole.leaves.some((leaf) => leaf.void),
      'the history has a void leaf',
    );
    assert.deepEqual([whole.handovers.length, whole.joins.length], [1, 5]);
    for (const from of [0, 2, HANDOVER, END - 1]) {
      const found = read(from < 2 ? [first, second, third] : [second, third].slice(from > 4 ? 1 : 0), base, from);
      assert.deepEqual(found.state, state(END));
      assert.deepEqual(
        found.cuts.map((cut) => ({ ...cut, certificate: undefined })),
        cutsOf(chain, from + 1, END).map((cut) => ({ ...cut, certificate: undefined })),
      );
    }
    assert.deepEqual(read([whole], base).state, state(END));
  });

  it('is cut again into segments that each can be read, whoever cut them before', () => {
    const { cuts } = read([first, second, third], base);
    for (let from = 1; from <= END; from++) {
      const own: ArchivedCut[] = cutsOf(chain, 1, from);
      const segments = segmentsOf(0, [...own, ...cuts.slice(from)]);
      assert.deepEqual(
        read(
          segments.map((segment) => decodeSegment(encodeSegment(segment))),
          base,
        ).state,
        state(END),
      );
    }
    assert.throws(
      () =>
        segmentsOf(
          0,
          cuts.slice(0, 1).map((cut) => ({ ...cut, certificate: undefined })),
        ),
      { code: 'BAD_ARCHIVE' },
    );
  });

  it('is refused where segments are left out, swapped, said twice, or of another swarm', () => {
    assert.equal(refusal([first, third]), 'BAD_ARCHIVE epoch');
    assert.equal(refusal([second, first, third]), 'BAD_ARCHIVE epoch');
    assert.equal(refusal([first, first]), 'BAD_ARCHIVE epoch');
    assert.equal(refusal([first, second]), 'BAD_ARCHIVE base.epoch');
    assert.equal(refusal([first, { ...second, treeSize: second.treeSize + 1 }]), `BAD_ARCHIVE header ${HANDOVER}.treeSize`);
    const other = new FinalChain(founders, { name: 'other' });
    other.finalise(
      [],
      founders.map((founder) => other.join(founder)),
    );
    assert.equal(refusal([segmentAt(other, 1, 1)]), 'BAD_ARCHIVE header 1.swarm');
  });

  it('is refused where the end of a segment is not certified: nobody makes one up', () => {
    const { certificate } = first;
    const [lost, ...votes] = certificate.votes;
    assert.ok(lost !== undefined && votes.length === quorumOf(founders.length) - 1);
    assert.equal(refusal([{ ...first, certificate: { ...certificate, votes } }]), 'BAD_QUORUM votes');
    assert.equal(refusal([{ ...first, certificate: second.certificate }]), 'BAD_ARCHIVE header 2.certificate');
    const prevotes = { ...certificate, step: 'prevote' } as const;
    assert.equal(refusal([{ ...first, certificate: prevotes }]), 'BAD_ARCHIVE header 2.certificate');
    const [header] = first.headers as [BlockHeader];
    const idle = { ...header, timeMs: header.timeMs + 1 };
    const made = { ...certificate, epoch: 1, block: blockHash(idle) };
    const alone = { ...first, headers: [idle], leaves: first.leaves.slice(0, idle.treeSize), certificate: made };
    assert.match(refusal([alone]), /^BAD_SIGNATURE /);
  });

  const withHeader = (segment: ArchiveSegment, i: number, change: Partial<BlockHeader>): ArchiveSegment => ({
    ...segment,
    headers: segment.headers.map((header, n) => (n === i ? { ...header, ...change } : header)),
  });
  it('is refused where a header says anything else', () => {
    const zero = '0'.repeat(64);
    assert.equal(refusal([withHeader(first, 0, { votersHash: zero })]), 'BAD_ARCHIVE header 1.votersHash');
    assert.equal(refusal([withHeader(first, 0, { prev: zero })]), 'BAD_ARCHIVE header 1.prev');
    assert.equal(refusal([withHeader(first, 0, { treeRoot: zero })]), 'BAD_ARCHIVE header 1.treeRoot');
    for (const name of ['stateRoot', 'modelRoot', 'cutHash', 'evidenceHash', 'aggregateHash'] as const) {
      assert.equal(refusal([withHeader(first, 0, { [name]: 'ab'.repeat(32) })]), 'BAD_ARCHIVE header 2.prev', name);
      assert.equal(refusal([withHeader(first, 1, { [name]: 'ab'.repeat(32) })]), 'BAD_ARCHIVE header 2.certificate', name);
    }
  });

  it('is refused where a handover is left out, or says other voters or votes', () => {
    const [handover] = second.handovers as [Handover];
    const given = (change: Partial<Handover>) => [first, { ...second, handovers: [{ ...handover, ...change }] }, third];
    const field = `header ${HANDOVER}`;
    assert.equal(refusal([first, { ...second, handovers: [] }]), `BAD_ARCHIVE ${field}.nextVotersHash`);
    for (const voters of [handover.voters.slice(1), votersOf(state(1)), []])
      assert.equal(refusal(given({ voters })), `BAD_ARCHIVE ${field}.nextVotersHash`);
    // Their hash is the same, and an audit of proofs asks for their order.
    for (const voters of [[...handover.voters, ...handover.voters], handover.voters.toReversed()])
      assert.throws(() => decodeSegment(encodeSegment({ ...second, handovers: [{ ...handover, voters }] })), { code: 'MALFORMED' });
    const { certificate } = handover;
    const [, ...fewer] = certificate.votes;
    assert.equal(refusal(given({ certificate: { ...certificate, votes: fewer } })), 'BAD_QUORUM votes');
    assert.equal(refusal(given({ certificate: { ...certificate, block: state(1).decision } })), `BAD_ARCHIVE ${field}.certificate`);
    const byNewcomer = certificate.votes.map((vote, i) => (i === 0 ? { ...vote, voter: eve.fingerprint } : vote));
    assert.equal(refusal(given({ certificate: { ...certificate, votes: byNewcomer } })), `NOT_VOTER ${eve.fingerprint}`);
    assert.equal(refusal(given({ certificate: { ...certificate, round: 2 } })).split(' ')[0], 'BAD_SIGNATURE');
    assert.deepEqual(read([first, { ...second, handovers: [handover, handover] }, third], base).state, state(END), 'twice is once');
  });

  it('is refused where a leaf stands elsewhere', () => {
    const at = (i: number, change: Partial<Leaf>): ArchiveSegment[] => [
      { ...whole, leaves: whole.leaves.map((leaf, n) => (n === i ? { ...leaf, ...change } : leaf)) },
    ];
    for (const [i, leaf] of whole.leaves.entries()) {
      assert.equal(refusal(at(i, { void: !leaf.void })), 'BAD_ARCHIVE base.state', `void of leaf ${i}`);
      if (leaf.prev === null) {
        assert.equal(refusal(at(i, { lam: leaf.lam + 1 })), `BAD_ARCHIVE leaf ${leaf.id}`);
        continue;
      }
      assert.equal(refusal(at(i, { lam: leaf.lam + 1 })), 'BAD_ARCHIVE base.state', `lam of leaf ${i}`);
      const elsewhere = leaf.prev === 0 ? 1 : leaf.prev - 1;
      assert.equal(refusal(at(i, { prev: elsewhere })), 'BAD_ARCHIVE base.state', `prev of leaf ${i}`);
      assert.equal(refusal(at(i, { prev: 1_000 })), `BAD_ARCHIVE leaf ${leaf.id}`);
    }
    const swapped = whole.leaves.map((leaf, i) => whole.leaves[i === 5 ? 6 : i === 6 ? 5 : i] ?? leaf);
    assert.equal(refusal([{ ...whole, leaves: swapped }]), 'BAD_ARCHIVE header 2.treeRoot');
  });

  it('is refused where a join is left out, is not signed by its author, or of another', () => {
    const [join, ...others] = first.joins as [SignedEntry, ...SignedEntry[]];
    const field = `BAD_ARCHIVE leaf ${idOf(first.leaves.findIndex(({ id }) => id === join.id))}`;
    const given = (changed: SignedEntry) => [{ ...first, joins: [changed, ...others] }];
    assert.equal(refusal([{ ...first, joins: others }]), field);
    assert.equal(refusal(given({ ...join, signature: (others[0] as SignedEntry).signature })), field);
    const author = eve.fingerprint;
    const signature = eve.signEd25519(entryBytes(join.coreBytes));
    assert.equal(refusal(given({ ...join, core: { ...join.core, author } as never, signature })), field);
    const isTold = first.leaves.every((leaf) => leaf.prev !== null || first.joins.some(({ id }) => id === leaf.id));
    assert.ok(isTold && first.joins.every(isWhole));
  });

  it('is refused where the base is of another block, or its state any other', () => {
    assert.equal(refusal([whole], baseOf(chain, END - 1)), 'BAD_ARCHIVE base.epoch');
    assert.equal(refusal([whole], { ...base, certificate: second.certificate }), 'BAD_ARCHIVE base.certificate');
    const [, ...votes] = base.certificate.votes;
    assert.equal(refusal([whole], { ...base, certificate: { ...base.certificate, votes } }), 'BAD_QUORUM votes');
    assert.equal(refusal([whole], { ...base, state: baseOf(chain, END - 1).state }), 'HASH_MISMATCH stateRoot');
    const changed = (change: Partial<SwarmState>) => ({ ...base, state: encodeState({ ...state(END), ...change }) });
    const [member, ...members] = state(END).members as [SwarmState['members'][0], ...SwarmState['members']];
    for (const one of [{ trust: member.trust + 1 }, { vote: 'removed' }, { status: 'left' }, { lastEpoch: 0 }] as const)
      assert.equal(refusal([whole], changed({ members: [{ ...member, ...one }, ...members] })), 'HASH_MISMATCH stateRoot');
    assert.equal(refusal([whole], changed({ members })), 'HASH_MISMATCH stateRoot');
    assert.equal(refusal([whole], changed({ decision: state(1).decision })), 'BAD_ARCHIVE base.state');
    const keys = { ...member, mldsaPublicKey: eve.mldsaPublicKey };
    assert.equal(refusal([whole], changed({ members: [keys, ...members] })), 'HASH_MISMATCH state.members[0].keys');
  });

  /** Bits of these bytes, one flipped at a time: all of few, else so many of them. */
  function* flips(bytes: Uint8Array, some: number): Generator<Uint8Array> {
    const bits = 8 * bytes.byteLength;
    const random = Random.from('flips', bits);
    for (let n = 0; n < Math.min(bits, some); n++) {
      const bit = bits <= some ? n : random.below(bits);
      const altered = Uint8Array.from(bytes);
      altered[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
      yield altered;
    }
  }
  const isRefused = (attempt: () => unknown): boolean => {
    try {
      attempt();
      return false;
    } catch (error) {
      assert.ok(error instanceof StarlingError, String(error));
      return true;
    }
  };

  it('is refused with any bit of a segment flipped', () => {
    const empty = segmentAt(chain, 6, 6);
    for (const [segment, before, after] of [
      [whole, 0, base],
      [empty, 5, baseOf(chain, 6)],
    ] as const) {
      const plain = decompress(encodeSegment(segment), SEGMENT_MAX_BYTES);
      for (const altered of flips(plain, 2_000)) assert.ok(isRefused(() => read([decodeSegment(compress(altered, 1))], after, before)));
    }
    const plain = decompress(encodeSegment(whole), SEGMENT_MAX_BYTES);
    // A frame's own bits may say the same of its content in another way (RFC 8878: the unused bit).
    for (const altered of flips(encodeSegment(whole), 300))
      assert.ok(isRefused(() => read([decodeSegment(altered)], base)) || Buffer.from(decompress(altered, SEGMENT_MAX_BYTES)).equals(plain));
  });

  it('is refused with any bit of the base flipped', () => {
    const reader = readerAt(0);
    reader.add(whole);
    for (const altered of flips(encodeBase(base), 2_000)) assert.ok(isRefused(() => reader.finish(decodeBase(altered))));
    assert.deepEqual(reader.finish(decodeBase(encodeBase(base))).state, state(END));
    assert.deepEqual(decodeState(base.state, chain.block(END).block.header.stateRoot), state(END));
  });
});
