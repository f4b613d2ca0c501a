import assert from 'node:assert/strict';
import { fingerprintOf, fromHex, type Identity, sha256, toHex } from '../../../src/crypto/index.ts';
import { checkChain, checkGenesis, KeyRing } from '../../../src/ledger/auditChain.ts';
import { type AuditReport, audit, type Proof } from '../../../src/ledger/index.ts';
import { AUDIT_RULES, makeCheckpoint, makeProof, type ProofSource } from '../../../src/node/proofs.ts';
import type { SignedEntry, StarlingError } from '../../../src/spec/index.ts';
import { entryBytes, entryId, openCheckpoint, signCheckpoint, signVote, UPDATE_CONTEXT } from '../../../src/wire/index.ts';
import { FinalChain, identityNamed } from '../../support/finalChain.ts';

const [ann, bob, cem, dee] = ['ann', 'bob', 'cem', 'dee'].map(identityNamed) as [Identity, Identity, Identity, Identity];

/** Three founders; the fourth is invited with the vote in block 2 and votes from block 3 on. */
function grown(): { chain: FinalChain; contribution: SignedEntry } {
  const chain = new FinalChain([ann, bob, cem]);
  chain.finalise(
    [],
    [ann, bob, cem].map((founder) => chain.join(founder)),
  );
  const [contribution, ...others] = [ann, bob, cem].map((founder) => chain.contribute(founder)) as [SignedEntry];
  chain.finalise([contribution, ...others], [chain.join(dee, chain.invite(ann, true))]);
  chain.finalise([chain.contribute(dee), chain.contribute(bob)]);
  chain.finalise([]);
  chain.finalise([chain.contribute(cem)]);
  return { chain, contribution };
}
const { chain, contribution } = grown();
const source = chain.source(ann);
/** Ann's checkpoint of the epoch, whatever came later. */
const noteOf = (epoch: number, signer: Identity = ann, of: FinalChain = chain): string => {
  const { swarm, treeSize, treeRoot, modelRoot } = of.block(epoch).block.header;
  return signCheckpoint({ swarm, epoch, treeSize, treeRoot, modelRoot }, signer);
};
const check = (note: string, proof: unknown): AuditReport => audit(note, JSON.stringify(proof), AUDIT_RULES);
const refused = (note: string, proof: unknown): string => {
  const { ok, checks } = check(note, proof);
  assert.equal(ok, false);
  assert.deepEqual(
    checks.map((c) => c.ok),
    checks.map((_, i) => i < checks.length - 1),
    'the first failure is the last check',
  );
  return checks.at(-1)?.name ?? '';
};
const requests = [
  { kind: 'entry', id: contribution.id },
  { kind: 'record', id: contribution.id },
  { kind: 'event', epoch: 3 },
  { kind: 'block', epoch: 2 },
  { kind: 'block' },
  { kind: 'consistency', since: noteOf(1, bob) },
] as const;

/** Another value at a path of a proof. */
function altered(proof: Proof, path: readonly (string | number)[], change: (value: never) => unknown): unknown {
  const copy = structuredClone(proof) as unknown as Record<string | number, unknown>;
  const parent = path.slice(0, -1).reduce<Record<string | number, unknown>>((at, key) => at[key] as Record<string, unknown>, copy);
  const key = path.at(-1) as string;
  parent[key] = change(parent[key] as never);
  return copy;
}

interface Leaf {
  readonly path: readonly (string | number)[];
  readonly bits: number;
}
/** Every number (53 bits of it) and every hexadecimal string in a value. */
function leavesOf(value: unknown, path: readonly (string | number)[] = []): Leaf[] {
  if (typeof value === 'number') return [{ path, bits: 53 }];
  if (typeof value === 'string') return /^(?:[0-9a-f]{2}){8,}$/.test(value) ? [{ path, bits: 4 * value.length }] : [];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => leavesOf(inner, [...path, Array.isArray(value) ? Number(key) : key]));
}
const flipped =
  (bit: number) =>
  (value: string | number): string | number => {
    if (typeof value === 'number') return Number(BigInt(value) ^ (1n << BigInt(bit)));
    const bytes = fromHex(value);
    bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
    return toHex(bytes);
  };

describe('audit', () => {
  for (const epoch of [1, 2, 4, 5])
    for (const request of requests)
      it(`accepts a proof of kind ${request.kind}${'epoch' in request ? ` of epoch ${request.epoch}` : ''} against the checkpoint of epoch ${epoch}`, () => {
        for (const signer of [ann, dee]) {
          const note = noteOf(epoch, signer);
          const report = check(note, makeProof(source, { ...request, checkpoint: note }));
          assert.ok(report.ok, JSON.stringify(report.checks));
          assert.ok(report.checks.every((c) => c.detail.length > 0));
        }
      });

  it("is what a node's newest checkpoint and a proof made without one agree on", () => {
    const { note, signer, epoch } = makeCheckpoint(source, ann);
    assert.deepEqual([signer, epoch], [ann.fingerprint, 5]);
    for (const request of requests) assert.ok(check(note, makeProof(source, request)).ok, request.kind);
    assert.ok(audit(note, JSON.stringify(makeProof(source, requests[0])), AUDIT_RULES, ann.fingerprint).ok);
    const { checks } = audit(note, JSON.stringify(makeProof(source, requests[0])), AUDIT_RULES, bob.fingerprint);
    assert.equal(checks.at(-1)?.name, 'checkpoint.signer');
  });

  it('names what is not of this history', () => {
    const proof = makeProof(source, requests[0]) as Extract<Proof, { kind: 'entry' }>;
    const { swarm, treeSize, treeRoot, modelRoot } = chain.block(5).block.header;
    const signed = (change: object) => signCheckpoint({ swarm, epoch: 5, treeSize, treeRoot, modelRoot, ...change }, ann);
    const other = 'f'.repeat(64);
    assert.equal(refused(signed({ swarm: other }), proof), 'proof.swarm');
    assert.equal(refused(signed({ treeRoot: other }), proof), 'proof.block.header.treeRoot');
    assert.equal(refused(signed({ treeSize: treeSize + 1 }), proof), 'proof.block.header.treeSize');
    assert.equal(refused(signed({ modelRoot: other }), proof), 'proof.block.header.modelRoot');
    assert.equal(refused(signed({ epoch: 6 }), proof), 'proof.consistency');
    assert.equal(refused(noteOf(5).replace('epoch 5', 'epoch 4'), proof), 'checkpoint.signature');
    assert.equal(refused(noteOf(5, identityNamed('stranger')), proof), 'checkpoint.signer');
    assert.equal(refused('', proof), 'checkpoint: note');
    assert.equal(refused(noteOf(5), { ...proof, more: 1 }), 'proof.more');
    assert.equal(refused(noteOf(5), { ...proof, v: 2 }), 'proof.v');
    assert.equal(refused(noteOf(5), { ...proof, swarm: swarm.toUpperCase() }), 'proof.swarm');
  });

  it('refuses another ledger under the same swarm, however well it is signed', () => {
    // The same founders finalise something else at epoch 2: a fork that only a dishonest majority could make.
    const fork = new FinalChain([ann, bob, cem], { founders: chain.genesis.founders });
    assert.equal(fork.swarm, chain.swarm);
    fork.finalise(
      [],
      [ann, bob, cem].map((founder) => fork.join(founder)),
    );
    fork.finalise([fork.contribute(bob)]);
    const proof = makeProof(fork.source(ann), { kind: 'block', epoch: 2 });
    assert.equal(refused(noteOf(2), proof), 'proof.block.header.treeSize');
    const joint = { from: fork.head.treeSize, to: chain.head.treeSize, path: [] };
    assert.equal(refused(noteOf(5), { ...proof, consistency: joint }), 'proof.consistency.path');
    assert.throws(() => makeProof(source, { kind: 'block', checkpoint: noteOf(2, ann, fork) }), { code: 'BAD_PROOF' });
    const since = makeProof(fork.source(ann), { kind: 'consistency', since: noteOf(1, ann, fork) }) as Extract<
      Proof,
      { kind: 'consistency' }
    >;
    assert.equal(refused(noteOf(5), { ...since, since: noteOf(2, ann, fork) }), 'proof.consistency.from');
  });

  it('counts the votes of the committee alone', () => {
    const proof = makeProof(source, { kind: 'block' }) as Extract<Proof, { kind: 'block' }>;
    const note = noteOf(5);
    const at = ['block', 'certificate', 'votes'];
    const field = 'proof.block.certificate.votes';
    assert.equal(proof.block.certificate.votes.length, 3); // of four
    assert.equal(
      refused(
        note,
        altered(proof, at, (votes: unknown[]) => votes.slice(1)),
      ),
      field,
    );
    assert.equal(
      refused(
        note,
        altered(proof, at, (votes: unknown[]) => [votes[0], ...votes]),
      ),
      field,
    );
    assert.equal(
      refused(
        note,
        altered(proof, at, (votes: unknown[]) => votes.toReversed()),
      ),
      field,
    );
    const stranger = identityNamed('stranger');
    const votes = [...proof.block.certificate.votes.slice(1), { voter: stranger.fingerprint, signature: '00'.repeat(64) }];
    votes.sort((a, b) => (a.voter < b.voter ? -1 : 1));
    const place = votes.findIndex(({ voter }) => voter === stranger.fingerprint);
    assert.equal(
      refused(
        note,
        altered(proof, at, () => votes),
      ),
      `${field}.${place}.voter`,
    );
    // Dee votes from block 3 on: her vote for block 2 is a true one, and nobody asked for it.
    const early = makeProof(source, { kind: 'event', epoch: 2, checkpoint: noteOf(2, dee) }) as Extract<Proof, { kind: 'event' }>;
    const { epoch, round, step, block } = early.block.certificate;
    const vote = signVote(chain.swarm, { epoch, round, step, block, voter: dee.fingerprint }, dee);
    const joined = [...early.block.certificate.votes, { voter: dee.fingerprint, signature: toHex(vote.signature) }];
    joined.sort((a, b) => (a.voter < b.voter ? -1 : 1));
    const hers = joined.findIndex(({ voter }) => voter === dee.fingerprint);
    assert.equal(
      refused(
        noteOf(2, dee),
        altered(early, at, () => joined),
      ),
      `${field}.${hers}.voter`,
    );
    // Without the handover the founding committee would have to be the one that voted, and it is not.
    assert.equal(refused(note, { ...proof, handovers: [] }), 'proof.block.header.votersHash');
    const voters = proof.handovers[0]?.voters as string[];
    assert.equal(
      refused(
        note,
        altered(proof, ['handovers', 0, 'voters'], () => voters.slice(1)),
      ),
      'proof.handovers.0.voters',
    );
    assert.equal(
      refused(
        note,
        altered(proof, ['handovers', 0, 'voters'], () => [voters[0], ...voters]),
      ),
      'proof.handovers.0.voters',
    );
    assert.equal(refused(note, { ...proof, handovers: [...proof.handovers, ...proof.handovers] }), 'proof.handovers.1.header.epoch');
  });

  it('knows the first committee from the genesis alone, not from what a proof says', () => {
    const impostors = ['eve', 'fay', 'gus'].map(identityNamed);
    const false_ = new FinalChain(impostors);
    false_.finalise(
      [],
      impostors.map((impostor) => false_.join(impostor)),
    );
    const forged = makeProof(false_.source(impostors[0] as Identity), { kind: 'block' }) as Extract<Proof, { kind: 'block' }>;
    const { header } = forged.block;
    const { treeSize, treeRoot, modelRoot } = header;
    const note = signCheckpoint({ swarm: chain.swarm, epoch: 1, treeSize, treeRoot, modelRoot }, ann);
    assert.equal(refused(note, { ...forged, swarm: chain.swarm }), 'proof.genesis');
    const keys = impostors.map((i) => ({ node: i.fingerprint, mldsa: toHex(i.mldsaPublicKey), ed25519: toHex(i.ed25519PublicKey) }));
    const dressed = { ...forged, swarm: chain.swarm, genesis: toHex(chain.genesisBytes), keys };
    assert.equal(refused(note, dressed), 'proof.block.header.swarm');
    const moved = { ...dressed, block: { ...forged.block, header: { ...header, swarm: chain.swarm } } };
    assert.equal(refused(note, moved), 'proof.block.header.votersHash');
  });

  it('takes no earlier checkpoint that is later, or has another model', () => {
    // Block 4 is empty: the trees of epochs 3 and 4 are one.
    const proof = makeProof(source, { kind: 'consistency', since: noteOf(3), checkpoint: noteOf(4) }) as Extract<
      Proof,
      { kind: 'consistency' }
    >;
    assert.ok(check(noteOf(4), proof).ok);
    assert.equal(refused(noteOf(3), { ...proof, since: noteOf(4) }), 'proof.since.epoch');
    const { swarm, treeSize, treeRoot } = chain.block(4).block.header;
    const retold = signCheckpoint({ swarm, epoch: 4, treeSize, treeRoot, modelRoot: 'f'.repeat(64) }, ann);
    assert.equal(refused(noteOf(4), { ...proof, since: retold }), 'proof.since.modelRoot');
  });

  it('takes no entry that the rules of the ledger refuse, even from a tree that holds it', () => {
    const [own, other] = [new FinalChain([ann]), new FinalChain([ann], { name: 'other' })];
    const join = own.join(ann);
    const foreign = other.join(dee);
    own.graph.add(foreign);
    own.finalise([], [join, foreign]);
    const held: ProofSource = { ...own.source(ann), keysOf: () => dee };
    assert.equal(refused(noteOf(1, ann, own), makeProof(held, { kind: 'entry', id: foreign.id })), 'proof.entry.core');
    const proof = makeProof(held, { kind: 'entry', id: join.id });
    assert.ok(check(noteOf(1, ann, own), proof).ok);
    const composite = toHex(ann.signComposite(UPDATE_CONTEXT, entryBytes(join.coreBytes)));
    assert.equal(
      refused(
        noteOf(1, ann, own),
        altered(proof, ['entry', 'composite'], () => composite),
      ),
      'proof.entry.composite',
    );
  });

  it('says what it cannot prove yet, or no more', () => {
    const waiting = chain.contribute(ann);
    assert.throws(() => makeProof(source, { kind: 'entry', id: waiting.id }), { code: 'NOT_FOUND' });
    assert.throws(() => makeProof(source, { kind: 'entry', id: '0'.repeat(64) }), { code: 'UNKNOWN_ENTRY' });
    assert.throws(() => makeProof(source, { kind: 'entry' }), { code: 'BAD_PARAMS' });
    assert.throws(() => makeProof(source, { kind: 'block', epoch: 9 }), { code: 'NOT_FOUND' });
    assert.throws(() => makeProof(source, { kind: 'consistency', since: noteOf(5), checkpoint: noteOf(2) }), { code: 'BAD_PARAMS' });
    const join = chain.graph.joinOf(ann.fingerprint)?.id as string;
    assert.throws(() => makeProof(source, { kind: 'record', id: join }), { code: 'NOT_FOUND' });
    assert.throws(() => makeProof({ ...source, stateAfter: () => undefined }, requests[1]), { code: 'NOT_FOUND' });
    const empty = new FinalChain([ann]);
    assert.throws(() => makeCheckpoint(empty.source(ann), ann), { code: 'NOT_FOUND' });
    assert.throws(() => makeProof(empty.source(ann), { kind: 'block' }), { code: 'NOT_FOUND' });
  });
});

/** The least that RFC 9162 section 2.1.1 and the signed note define, with nothing of src/ledger. */
describe('a proof, by an independent verifier', () => {
  const node = (left: Uint8Array, right: Uint8Array) => sha256(Uint8Array.of(1), left, right);
  /** Root from leaf m of n and its path, by the recursion that PATH(m, D_n) is defined with. */
  const rootFrom = (leaf: Uint8Array, m: number, n: number, path: readonly Uint8Array[]): Uint8Array => {
    if (n === 1) return leaf;
    let k = 1;
    while (2 * k < n) k *= 2;
    const sibling = path.at(-1) as Uint8Array;
    const rest = path.slice(0, -1);
    return m < k ? node(rootFrom(leaf, m, k, rest), sibling) : node(sibling, rootFrom(leaf, m - k, n - k, rest));
  };

  it('leads every final entry to the root on the note', () => {
    const note = noteOf(5);
    const [, size, root] = note.split('\n');
    for (const { entry, index } of chain.order.slice(0)) {
      const proof = makeProof(source, { kind: 'entry', id: entry.id, checkpoint: note }) as Extract<Proof, { kind: 'entry' }>;
      assert.equal(proof.entry.index, index);
      const id = sha256(Buffer.from('starling/entry/1\0'), Buffer.from(proof.entry.core, 'hex'));
      assert.equal(toHex(id), entryId(fromHex(proof.entry.core)));
      const leaf = sha256(Uint8Array.of(0), id);
      const path = proof.entry.path.map((hash) => new Uint8Array(Buffer.from(hash, 'hex')));
      assert.equal(Buffer.from(rootFrom(leaf, proof.entry.index, Number(size), path)).toString('base64'), root);
    }
  });

  it('carries keys whose hash is the name of their node', () => {
    const { keys } = makeProof(source, { kind: 'block', checkpoint: noteOf(5, dee) });
    assert.deepEqual(
      keys.map(({ node: name }) => name),
      [dee.fingerprint],
    );
    for (const { node: name, mldsa, ed25519 } of keys) {
      assert.equal(toHex(sha256(Buffer.from(mldsa + ed25519, 'hex'))), name);
      assert.equal(fingerprintOf(fromHex(mldsa), fromHex(ed25519)), name);
    }
  });
});

describe('a bit flipped', () => {
  /** What the first failing check may be named after, where it is not the altered section itself. */
  const ALIAS: Readonly<Record<string, string>> = {
    // A root between two paths: which side of it was altered cannot be told.
    path: 'proof.record',
    recordsRoot: 'proof.record',
    event: 'proof.statePath',
    previous: 'proof.statePath',
  };

  /** Flips `most` bits, evenly spread over the leaves, or every one; `nameOf` says how the proof is refused. Returns how many. */
  const flips = (proof: Proof, leaves: readonly Leaf[], most: number, nameOf = () => refused(note, proof)): number => {
    const stride = Math.max(1, bitsOf(leaves) / most);
    let done = 0;
    let before = 0;
    for (const { path, bits } of leaves) {
      const parent = path.slice(0, -1).reduce<unknown>((at, key) => (at as never)[key], proof) as Record<string | number, string | number>;
      const key = path.at(-1) as string;
      const held = parent[key] as string | number;
      for (; done * stride < before + bits; done++) {
        parent[key] = flipped(Math.floor(done * stride) - before)(held);
        const name = nameOf();
        parent[key] = held;
        const section = String(path[0]);
        assert.ok(name.startsWith(`proof.${section}`) || name === ALIAS[section], `${path.join('.')}: ${name}`);
      }
      before += bits;
    }
    return done;
  };
  const bitsOf = (leaves: readonly Leaf[]): number => leaves.reduce((sum, leaf) => sum + leaf.bits, 0);
  const note = noteOf(5);

  it('in a block, its certificate or a vote of it is named, at every place', function () {
    this.timeout(60_000);
    const proof = makeProof(source, { kind: 'event', epoch: 5, checkpoint: note }) as Extract<Proof, { kind: 'event' }>;
    const leaves = leavesOf(proof).filter(({ path }) => path[0] === 'block');
    // What stands before the block in an audit is checked once: it is the same every time.
    const keys = new KeyRing(proof);
    const genesis = checkGenesis(proof, keys, () => {});
    const { checkpoint } = openCheckpoint(note);
    const nameOf = (): string => {
      try {
        checkChain(proof, genesis, checkpoint, keys, AUDIT_RULES, () => {});
        return 'accepted';
      } catch (error) {
        return (error as StarlingError).facts.field ?? '';
      }
    };
    assert.equal(nameOf(), 'accepted');
    const bits = bitsOf(leaves);
    assert.ok(bits > 5_000);
    assert.equal(flips(proof, leaves, bits, nameOf), bits);
  });

  it('in a proof of an entry is named, at 10,000 places', function () {
    this.timeout(60_000);
    const hers = noteOf(5, dee); // no founder: her keys stand in the file
    const proof = makeProof(source, { ...requests[0], checkpoint: hers });
    assert.equal(proof.keys.length, 1);
    assert.ok(flips(proof, leavesOf(proof), 10_000, () => refused(hers, proof)) >= 10_000);
  });

  for (const request of requests.slice(1, 4))
    it(`in what is special to a proof of kind ${request.kind} is named`, function () {
      this.timeout(60_000);
      const proof = makeProof(source, { ...request, checkpoint: note });
      const special = ['swarm', 'consistency', 'record', 'path', 'recordsRoot', 'previous', 'event', 'statePath', 'content'];
      assert.ok(
        flips(
          proof,
          leavesOf(proof).filter(({ path }) => special.includes(String(path[0]))),
          600,
        ) >= 600,
      );
    });

  it('in the text of a proof is refused, whatever it makes of the JSON', function () {
    this.timeout(60_000);
    for (const request of requests) {
      const bytes = Buffer.from(JSON.stringify(makeProof(source, { ...request, checkpoint: note }), null, 1));
      for (let i = 0; i < 300; i++) {
        const bit = Math.floor((i + 0.5) * ((8 * bytes.byteLength) / 300));
        const copy = Buffer.from(bytes);
        copy[bit >> 3] = (copy[bit >> 3] as number) ^ (1 << (bit & 7));
        const { ok, checks } = audit(note, copy.toString('utf8'), AUDIT_RULES);
        assert.equal(ok, false, `${request.kind}, bit ${bit}: ${copy.subarray((bit >> 3) - 20, (bit >> 3) + 20)}`);
        assert.match(checks.at(-1)?.name ?? '', /^proof/);
      }
    }
  });

  it('in a checkpoint is named: at every place of its text, at 1,500 of its signature', function () {
    this.timeout(60_000);
    const proof = JSON.stringify(makeProof(source, { ...requests[5], checkpoint: note }));
    const bytes = Buffer.from(note);
    const text = 8 * (bytes.indexOf('\n\n') + 2);
    const rest = 8 * bytes.byteLength - text;
    const places = [...Array(text).keys(), ...Array.from({ length: 1_500 }, (_, i) => text + Math.floor((i * rest) / 1_500))];
    for (const bit of places) {
      const copy = Buffer.from(bytes);
      copy[bit >> 3] = (copy[bit >> 3] as number) ^ (1 << (bit & 7));
      const { ok, checks } = audit(copy.toString('utf8'), proof, AUDIT_RULES);
      assert.equal(ok, false, `bit ${bit}`);
      assert.match(checks.at(-1)?.name ?? '', /^(checkpoint|proof\.swarm)/);
    }
  });
});
