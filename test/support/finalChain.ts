/**
 * A swarm's final chain without any node: real identities, entries, order, reducers, blocks and certificates. A test says what
 * each block takes in.
 */
import { EMPTY_ROOT, type Identity, identityFromSeeds, sha256, toHex, utf8, ZERO_HASH } from '../../src/crypto/index.ts';
import { LedgerGraph, LedgerOrder, lamportAfter } from '../../src/ledger/index.ts';
import type { ProofSource } from '../../src/node/proofs.ts';
import type {
  AnyEntryCore,
  EntryBodies,
  EntryKind,
  FederatedRecord,
  Genesis,
  Hex,
  Invite,
  SignedEntry,
  SwarmState,
  SystemEvent,
} from '../../src/spec/index.ts';
import { eventOf, initialState, quorumOf, recordsOf, reduce, type Step, stateRoot, votersOf } from '../../src/state/index.ts';
import {
  type BlockRecord,
  encodeCore,
  encodeGenesis,
  entryBytes,
  entryId,
  makeBlock,
  makeCertificate,
  makeInvite,
  rosterHash,
  signVote,
  swarmIdOf,
  UPDATE_CONTEXT,
  votersHash,
} from '../../src/wire/index.ts';

const hashOf = (text: string): Hex => toHex(sha256(utf8(text)));
const identities = new Map<string, Identity>();

/** The same key pair for the same name, made once a process. */
export function identityNamed(name: string): Identity {
  const held = identities.get(name);
  if (held !== undefined) return held;
  const made = identityFromSeeds({ mldsaSeed: sha256(utf8(`${name} post`)), ed25519Seed: sha256(utf8(`${name} classic`)) });
  identities.set(name, made);
  return made;
}

export class FinalChain {
  readonly genesis: Genesis;
  readonly genesisBytes: Uint8Array;
  readonly swarm: Hex;
  readonly graph = new LedgerGraph();
  readonly order: LedgerOrder;
  /** Index = epoch - 1. */
  readonly blocks: BlockRecord[] = [];
  /** Index = epoch. */
  readonly states: SwarmState[];
  readonly records: FederatedRecord[][] = [];
  readonly events: SystemEvent[] = [];
  readonly #identities = new Map<Hex, Identity>();
  readonly #tips = new Map<Hex, SignedEntry>();

  constructor(founders: readonly Identity[], rules: Partial<Genesis> = {}) {
    for (const founder of founders) this.#identities.set(founder.fingerprint, founder);
    this.genesis = {
      v: 1,
      name: 'final',
      tensors: [{ name: 'w', shape: [2] }],
      initialModelRoot: hashOf('model 0'),
      aggregation: 'mean',
      privacy: 'member-readable',
      admission: 'open',
      voting: 'invited',
      updateDtype: 'int16',
      encoding: 'dense',
      topkShare: 0.05,
      schedule: 'auto',
      scaleExponents: [-12],
      eta: 1,
      lambda: 0.5,
      clipNorm: 10,
      maxSamples: 1_000,
      epochDeadlineMs: 10_000,
      minDeadlineMs: 1_000,
      missEpochs: 10,
      snapshotEpochs: 10,
      retainEpochs: 100,
      founders: founders.map((founder) => makeCertificate(founder, 'core', [])),
      createdMs: 1_000,
      ...rules,
    };
    this.genesisBytes = encodeGenesis(this.genesis);
    this.swarm = swarmIdOf(this.genesisBytes);
    this.order = new LedgerOrder(this.graph);
    this.states = [initialState(this.genesis, this.swarm, toHex(EMPTY_ROOT))];
  }

  get head(): SwarmState {
    return this.states.at(-1) as SwarmState;
  }

  block(epoch: number): BlockRecord {
    return this.blocks[epoch - 1] as BlockRecord;
  }

  /** The next entry of an author's chain; its first must be a join. */
  append<K extends EntryKind>(author: Identity, kind: K, body: EntryBodies[K]): SignedEntry {
    this.#identities.set(author.fingerprint, author);
    const prev = this.#tips.get(author.fingerprint);
    const core = {
      v: 1,
      swarm: this.swarm,
      author: author.fingerprint,
      seq: prev === undefined ? 0 : prev.core.seq + 1,
      prev: prev?.id ?? null,
      lam: lamportAfter(prev === undefined ? [] : [prev]),
      epochSeen: this.head.epoch,
      anchorBlock: this.head.decision,
      kind,
      deps: [],
      body,
    } as unknown as AnyEntryCore;
    const coreBytes = encodeCore(core);
    const message = entryBytes(coreBytes);
    const entry = { id: entryId(coreBytes), core, coreBytes, signature: author.signEd25519(message) };
    const signed = kind === 'contribution' ? { ...entry, composite: author.signComposite(UPDATE_CONTEXT, message) } : entry;
    this.graph.add(signed);
    this.#tips.set(author.fingerprint, signed);
    return signed;
  }

  join(author: Identity, invite: Invite | null = null): SignedEntry {
    return this.append(author, 'join', { certificate: makeCertificate(author, 'core', []), invite });
  }

  invite(issuer: Identity, vote: boolean): Invite {
    const fields = { swarm: this.swarm, nodeClass: 'core', vote, expiresMs: 10 ** 12, uses: 1, nonce: 'ab'.repeat(16) } as const;
    return makeInvite(fields, issuer);
  }

  contribute(author: Identity): SignedEntry {
    const epoch = this.head.epoch + 1;
    const updateHash = hashOf(`update ${epoch} ${author.fingerprint}`);
    return this.append(author, 'contribution', {
      epoch,
      updateHash,
      sizeBytes: 4,
      samples: 10,
      maxAbs: [5],
      metrics: {},
      commitment: null,
      staleness: 0,
      links: [],
    });
  }

  /** The next block: averages these contributions (or nothing), and takes in these entries with what they stand on. */
  finalise(contributions: readonly SignedEntry[], others: readonly SignedEntry[] = []): BlockRecord {
    const before = this.head;
    const epoch = before.epoch + 1;
    const averaged = [...contributions].sort((a, b) => (a.id < b.id ? -1 : 1));
    const roster = averaged.map(({ id }) => id);
    const weights = roster.map(() => 100);
    const tips = others.map(({ id }) => id);
    const cut = this.order.append(epoch, [...roster, ...tips]);
    const aggregateHash = roster.length === 0 ? ZERO_HASH : hashOf(`aggregate ${epoch}`);
    const distances = roster.map((_, i) => String(10 + 7 * i));
    const header = {
      v: 1,
      epoch,
      weightTotal: 100 * roster.length,
      sumRoot: hashOf(`sum ${epoch}`),
      sumBytes: 8,
      distances,
      opening: null,
    } as const;
    const timeMs = this.genesis.createdMs + 1_000 * epoch;
    const step: Step = {
      id: before.decision,
      body: { epoch, prev: before.decision, roster, weights, aggregateHash, dropped: [] },
      header: roster.length === 0 ? undefined : header,
      cut: cut.filter((placed) => !placed.void).map(({ entry }) => entry),
      forked: [],
      faulty: [],
      contributions: averaged.map(({ core }) => ({ author: core.author, body: core.body as EntryBodies['contribution'] })),
      treeSize: this.order.size,
      treeRoot: this.order.root(),
      leavesHash: this.order.leavesHash,
      modelRoot: roster.length === 0 ? before.modelRoot : hashOf(`model ${epoch}`),
      block: { timeMs, evidence: [], rosterHash: rosterHash(roster, weights) },
      modelRootAt: () => undefined,
    };
    const after = reduce(this.genesis, this.swarm, before, step);
    const block = makeBlock(
      {
        v: 1,
        swarm: this.swarm,
        epoch,
        prev: before.decision,
        treeSize: after.treeSize,
        treeRoot: after.treeRoot,
        aggregateHash,
        modelRoot: after.modelRoot,
        stateRoot: stateRoot(after),
        votersHash: votersHash(votersOf(before)),
        nextVotersHash: votersHash(votersOf(after)),
        timeMs,
      },
      { tips, roster, weights, evidence: [], dropped: [] },
    );
    const record = { block, certificate: this.certify(block.hash, epoch, before) };
    this.blocks.push(record);
    this.states.push({ ...after, decision: block.hash });
    this.records.push(recordsOf(before, after, step));
    this.events.push(eventOf(before, after, step));
    return record;
  }

  /** Precommits of a bare quorum of the committee. */
  certify(block: Hex, epoch: number, state: SwarmState): BlockRecord['certificate'] {
    const voters = votersOf(state);
    const votes = voters.slice(0, quorumOf(voters.length)).map((voter) => {
      const identity = this.#identities.get(voter) as Identity;
      const { signature } = signVote(this.swarm, { epoch, round: 1, step: 'precommit', block, voter }, identity);
      return { voter, signature };
    });
    return { epoch, round: 1, step: 'precommit', block, votes };
  }

  /** What a node that holds all of it makes proofs from. */
  source(self: Identity): ProofSource {
    return {
      self: self.fingerprint,
      swarm: this.swarm,
      genesis: this.genesis,
      genesisBytes: this.genesisBytes,
      graph: this.graph,
      order: this.order,
      keysOf: (node) => this.#identities.get(node),
      blocks: { head: () => this.blocks.length, get: (epoch) => this.blocks[epoch - 1] },
      archivedHeader: () => undefined,
      handoversBefore: (epoch) =>
        this.blocks.slice(0, epoch - 1).flatMap(({ block: { header }, certificate }, i) => {
          const isHandover = header.votersHash !== header.nextVotersHash;
          return isHandover ? [{ header, certificate, voters: votersOf(this.states[i + 1] as SwarmState) }] : [];
        }),
      stateAfter: (epoch) => this.states[epoch],
      recordsOf: (epoch) => this.records[epoch - 1],
      eventOf: (epoch) => this.events[epoch - 1],
    };
  }
}
