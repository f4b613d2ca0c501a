/**
 * A handful of nodes without an engine: each has the context that the ten steps share, over virtual time, memory and
 * streams that answer at once. A test calls the steps itself and decides what reaches whom.
 */
import { bytesOf } from '../../src/aggregation/index.ts';
import { createReference } from '../../src/compute/index.ts';
import { contentOf, type Identity, identityFromSeeds, nativeMldsa } from '../../src/crypto/index.ts';
import { serveHeader } from '../../src/epoch/aggregates.ts';
import { apply } from '../../src/epoch/apply.ts';
import { average } from '../../src/epoch/average.ts';
import type { Applied } from '../../src/epoch/chain.ts';
import { createContext, type EpochContext, learnDecision, plantDecisions } from '../../src/epoch/context.ts';
import { servedBlobs, serveKeys } from '../../src/epoch/fetch.ts';
import type { EpochPorts, StreamProtocol } from '../../src/epoch/index.ts';
import { decide } from '../../src/epoch/provisional.ts';
import type { Residual } from '../../src/epoch/residual.ts';
import { serveContent } from '../../src/epoch/served.ts';
import { type Submitted, submit } from '../../src/epoch/submit.ts';
import { type Gossiped, verifyGossip } from '../../src/epoch/verify.ts';
import { Random } from '../../src/learning/random.ts';
import { type EntryOf, isKind } from '../../src/ledger/index.ts';
import { VirtualClock } from '../../src/simulation/clock.ts';
import { MemoryBlobStore, MemoryBlockStore, MemoryEntryStore, MemoryNodeStore } from '../../src/simulation/stores.ts';
import {
  type AnyEntryCore,
  type DecisionBody,
  type EntryId,
  type Genesis,
  type NodeCertificate,
  type NodeClass,
  type PeerId,
  type SignedEntry,
  StarlingError,
  type SwarmId,
} from '../../src/spec/index.ts';
import {
  decodeKeysMessage,
  encodeCore,
  encodeGenesis,
  entryBytes,
  entryId,
  makeCertificate,
  parameterCount,
  swarmIdOf,
  UPDATE_CONTEXT,
} from '../../src/wire/index.ts';
import { openResidual } from './residuals.ts';

export type Handler = (from: PeerId, payload: Uint8Array) => Promise<Uint8Array | undefined>;

export interface SwarmOptions {
  readonly nodes: number;
  /** Class of each node; core by default. All are founders. */
  readonly classes?: readonly NodeClass[];
  readonly genesis?: Partial<Genesis>;
  /** Nodes whose models are on disk, as large ones are. */
  readonly large?: readonly number[];
}

const identities: Identity[] = [];

/** The same key pair for the same number, made once a process. */
export function identityOf(n: number): Identity {
  identities[n] ??= identityFromSeeds(
    { mldsaSeed: new Uint8Array(32).fill(n), ed25519Seed: new Uint8Array(32).fill(n + 128) },
    nativeMldsa,
  );
  return identities[n];
}

const certificates = new Map<string, NodeCertificate>();

/** Signed once a process: signatures are randomised, and a swarm's id hangs on its founders' certificates. */
function certificateOf(n: number, nodeClass: NodeClass): NodeCertificate {
  const key = `${n} ${nodeClass}`;
  const made = certificates.get(key) ?? makeCertificate(identityOf(n), nodeClass, []);
  certificates.set(key, made);
  return made;
}

export class TestNode {
  readonly index: number;
  readonly identity: Identity;
  readonly nodeClass: NodeClass;
  readonly swarm: TestSwarm;
  readonly entries = new MemoryEntryStore();
  readonly blocks = new MemoryBlockStore();
  readonly blobs = new MemoryBlobStore();
  scratch: MemoryBlobStore | undefined;
  readonly store = new MemoryNodeStore();
  readonly own = new MemoryBlobStore();
  readonly published: { readonly topic: string; readonly data: Uint8Array }[] = [];
  readonly notified: { readonly peer: PeerId; readonly protocol: StreamProtocol; readonly payload: Uint8Array }[] = [];
  readonly asked: { readonly peer: PeerId; readonly protocol: StreamProtocol }[] = [];
  /** Peers that this node is connected with; all others by default. */
  connected: PeerId[] | undefined;
  readonly handlers = new Map<StreamProtocol, Handler>();
  ctx: EpochContext;
  residual: Residual;

  constructor(swarm: TestSwarm, index: number, nodeClass: NodeClass) {
    this.swarm = swarm;
    this.index = index;
    this.identity = identityOf(index + 1);
    this.nodeClass = nodeClass;
    this.ctx = this.#start();
    this.residual = this.#newResidual();
    this.handlers.set('keys', async (from, payload) => serveKeys(this.ctx, from, payload).reply);
    this.handlers.set('content', (from, payload) => serveContent(servedBlobs(this.ctx))(from, payload));
    this.handlers.set('head', (_from, payload) => serveHeader(this.ctx, payload));
  }

  get peer(): PeerId {
    return this.identity.peerId;
  }

  /** The process starts over what its stores hold. */
  restart(): void {
    this.ctx = this.#start();
    this.residual = this.#newResidual();
  }

  join(): SignedEntry {
    const certificate = certificateOf(this.index + 1, this.nodeClass);
    return this.ctx.replica.append('join', { certificate, invite: null }, this.ctx.chain.head.id, this.ctx.chain.head.state.epoch);
  }

  /** Takes entries from the network as sync does. */
  take(entries: Iterable<SignedEntry>): void {
    this.ctx.replica.offer([...entries]);
  }

  /** Steps 7 and 9 without a quorum: averages this roster over the head and writes the decision. Returns its body. */
  async decide(roster: readonly EntryId[]): Promise<DecisionBody> {
    const base = this.ctx.chain.head.state;
    await decide(this.ctx, base, await average(this.ctx, base, sorted(roster)));
    const entry = this.ctx.replica.tip as EntryOf<'decision'>;
    return entry.core.body;
  }

  /** Step 10. */
  apply(): Promise<readonly Applied[]> {
    return apply(this.ctx);
  }

  submit(values: Float32Array, samples = 100): Promise<Submitted> {
    const epoch = this.ctx.chain.head.state.epoch + 1;
    return submit(this.ctx, this.residual, { epoch, kind: 'delta', samples, metrics: {}, values });
  }

  /** What the inbox does with one gossip message, up to the opening of the update. */
  hear(topic: string, data: Uint8Array): Gossiped {
    const heard = verifyGossip(this.ctx, topic, data);
    if (heard.update !== undefined) {
      this.ctx.updates.expect(heard.update.entry);
      const { entry, cipherRoot, inline } = heard.update;
      if (inline !== null && contentOf(inline).root === cipherRoot) this.ctx.updates.offerSealed(entry.id, cipherRoot, inline);
    }
    return heard;
  }

  open(id: EntryId): boolean {
    return this.ctx.updates.open(id, this.ctx.chain.head.state.scaleExponents);
  }

  #start(): EpochContext {
    const ctx = createContext(this.#init());
    ctx.replica.onAccepted((entry) => {
      ctx.directory.learn(entry);
      if (isKind(entry, 'decision')) learnDecision(ctx, entry);
    });
    plantDecisions(ctx);
    return ctx;
  }

  #newResidual(): Residual {
    const { graph } = this.ctx.replica;
    return openResidual(this.store, this.own, this.ctx.spans, (updateHash) =>
      [...graph.entries()].some(
        (e) => e.core.author === this.identity.fingerprint && e.core.kind === 'contribution' && e.core.body.updateHash === updateHash,
      ),
    );
  }

  #init() {
    const { clock, id, genesis, large } = this.swarm;
    const isLarge = large.includes(this.index);
    const initialModel = isLarge ? undefined : this.swarm.initialModel;
    this.scratch = isLarge ? new MemoryBlobStore() : undefined;
    if (isLarge) void this.blobs.put(bytesOf(this.swarm.initialModel));
    const random = Random.from('test node', this.index, this.entries.size());
    const ports: EpochPorts = {
      clock,
      entropy: { bytes: (n) => Uint8Array.from({ length: n }, () => random.below(256)), uniform: () => random.uniform() },
      gossip: {
        subscribe: () => undefined,
        unsubscribe: () => undefined,
        onMessage: () => undefined,
        publish: async (topic, data) => {
          this.published.push({ topic, data });
          return { recipients: 1 };
        },
      },
      streams: {
        request: async (peer, protocol, payload) => {
          this.asked.push({ peer, protocol });
          const handler = this.swarm.nodes.find((n) => n.peer === peer)?.handlers.get(protocol);
          if (handler === undefined) throw new StarlingError('UNREACHABLE', 'nobody is there', { peer, phase: protocol });
          return (await handler(this.peer, payload)) ?? new Uint8Array();
        },
        notify: (peer, protocol, payload) => this.notified.push({ peer, protocol, payload }),
        handle: () => undefined,
        peers: () => this.connected ?? this.swarm.nodes.filter((n) => n !== this).map((n) => n.peer),
        onPeer: () => undefined,
      },
      entries: this.entries,
      blocks: this.blocks,
      blobs: this.blobs,
      scratch: this.scratch,
      own: this.own,
      store: this.store,
      journal: { log: () => undefined, count: () => undefined, observe: () => undefined },
      compute: createReference(),
    };
    return { identity: this.identity, nodeClass: this.nodeClass, swarm: id, genesis, initialModel, ports };
  }
}

export class TestSwarm {
  readonly clock = new VirtualClock();
  readonly genesis: Genesis;
  readonly id: SwarmId;
  readonly initialModel: Float32Array;
  readonly nodes: TestNode[];
  readonly large: readonly number[];

  constructor(options: SwarmOptions) {
    this.large = options.large ?? [];
    const classes = Array.from({ length: options.nodes }, (_, i): NodeClass => options.classes?.[i] ?? 'core');
    const tensors = options.genesis?.tensors ?? [
      { name: 'weight', shape: [3, 2] },
      { name: 'bias', shape: [2] },
    ];
    this.initialModel = Float32Array.from({ length: parameterCount(tensors) }, (_, k) => k / 8);
    this.genesis = {
      v: 1,
      name: 'test',
      tensors,
      initialModelRoot: contentOf(bytesOf(this.initialModel)).root,
      aggregation: 'mean',
      privacy: 'member-readable',
      admission: 'open',
      voting: 'invited',
      updateDtype: 'int16',
      encoding: 'dense',
      topkShare: 0.05,
      schedule: 'auto',
      scaleExponents: tensors.map(() => -12),
      eta: 1,
      lambda: 1,
      clipNorm: 10,
      maxSamples: 10_000,
      epochDeadlineMs: 5_000,
      minDeadlineMs: 200,
      missEpochs: 3,
      snapshotEpochs: 10,
      retainEpochs: 100,
      founders: classes.map((nodeClass, i) => certificateOf(i + 1, nodeClass)),
      createdMs: 0,
      ...options.genesis,
    };
    this.id = swarmIdOf(encodeGenesis(this.genesis));
    this.nodes = [];
    for (const [i, nodeClass] of classes.entries()) this.nodes.push(new TestNode(this, i, nodeClass));
  }

  node(i: number): TestNode {
    const node = this.nodes[i];
    if (node === undefined) throw new Error(`no node ${i}`);
    return node;
  }

  /** Everyone joins and everyone knows it. */
  joined(): this {
    for (const node of this.nodes) node.join();
    this.share();
    return this;
  }

  /** Every ledger holds the union. */
  share(): void {
    const all = this.nodes.flatMap((n) => [...n.ctx.replica.graph.entries()]);
    for (const node of this.nodes) node.take(all);
  }

  /** What `from` published since the last time reaches everyone else, keys first, and is opened. */
  deliver(from: TestNode): void {
    for (const { peer, protocol, payload } of from.notified.splice(0)) {
      const to = this.nodes.find((n) => n.peer === peer);
      if (protocol !== 'keys' || to === undefined) continue;
      const message = decodeKeysMessage(payload);
      if (message.kind === 'push') for (const key of message.keys) to.ctx.updates.offerKey(key);
    }
    for (const { topic, data } of from.published.splice(0)) {
      for (const node of this.nodes) {
        if (node === from) continue;
        const { update } = node.hear(topic, data);
        if (update !== undefined) node.open(update.entry.id);
      }
    }
  }

  /** One contribution of each of these nodes, held by all. Ids in the order of the nodes. */
  async contribute(values: readonly Float32Array[]): Promise<EntryId[]> {
    const ids: EntryId[] = [];
    for (const [i, row] of values.entries()) {
      const node = this.node(i);
      ids.push((await node.submit(row)).contributionId);
      this.deliver(node);
    }
    this.share();
    return ids;
  }
}

export const sorted = <T>(items: readonly T[]): T[] => [...items].sort();

/** A decision over the head of `ctx` that nothing was computed for. */
export const emptyDecision = (ctx: EpochContext, roster: readonly EntryId[] = []): DecisionBody => ({
  epoch: ctx.chain.head.state.epoch + 1,
  prev: ctx.chain.head.id,
  roster: sorted(roster),
  weights: roster.map(() => 0),
  aggregateHash: '0'.repeat(64),
  dropped: [],
});

/** An entry with this core, truly signed by its author, whatever the rules say of it. */
export function signed(identity: Identity, core: AnyEntryCore): SignedEntry {
  const coreBytes = encodeCore(core);
  const message = entryBytes(coreBytes);
  const entry = { id: entryId(coreBytes), core, coreBytes, signature: identity.signEd25519(message) };
  return core.kind === 'contribution' ? { ...entry, composite: identity.signComposite(UPDATE_CONTEXT, message) } : entry;
}
