/** Members of a scheduled sum over virtual time: their streams can freeze, fall silent, be cut, crawl and lie. No ledger, no engine. */
import { aggregate, bytesOf, distancesOfMoved, type LinkCost, layoutOf } from '../../src/aggregation/index.ts';
import type { Compute, IntRow } from '../../src/compute/api.ts';
import { createReference } from '../../src/compute/index.ts';
import { hashWithDomain, sha256, sis, toHex, utf8 } from '../../src/crypto/index.ts';
import { type Averaged, Exchanges } from '../../src/epoch/exchange/index.ts';
import type { Contribution, ExchangeWorld, OwnRow } from '../../src/epoch/exchange/world.ts';
import type { RequestOptions, StreamProtocol } from '../../src/epoch/ports.ts';
import { Random } from '../../src/learning/random.ts';
import { ProcessClock, TRUE_TIME, VirtualClock } from '../../src/simulation/clock.ts';
import { SimulatedNetwork, type SimulatedPort } from '../../src/simulation/network.ts';
import { MemoryNodeStore } from '../../src/simulation/stores.ts';
import {
  type AggregationRule,
  type EntryId,
  type Fingerprint,
  type Genesis,
  type PeerId,
  QMAX,
  StarlingError,
  type SwarmState,
} from '../../src/spec/index.ts';
import { type AverageMessage, chunkBytes, decodeAverage, encodeAverage, updateHash } from '../../src/wire/index.ts';
import { genesis as sample } from '../unit/wire/samples.ts';
import { identityOf } from './epochWorld.ts';
import { randomRows } from './exchanges.ts';

export type ChunkMessage = Extract<AverageMessage, { kind: 'chunk' }>;
/** What a message of a member becomes on its way; undefined: it never arrives. */
export type Tamper = (message: AverageMessage, to: Fingerprint) => AverageMessage | undefined;

export interface AverageOptions {
  readonly nodes: number;
  /** Nodes from this number on have no row: they sign alone. */
  readonly members?: number;
  readonly elements?: number;
  readonly schedule?: Genesis['schedule'];
  readonly rule?: AggregationRule;
  readonly dtype?: 'int8' | 'int16';
  readonly weights?: readonly number[];
  readonly seed?: number;
  readonly minDeadlineMs?: number;
  readonly maxDeadlineMs?: number;
  readonly loss?: number;
  /** Nodes stand in two sites in turn, so many ms apart one way; 1 ms within one. */
  readonly apartMs?: number;
}

const SWARM = toHex(hashWithDomain('test/average', utf8('swarm')));
const SEED = hashWithDomain('test/average', utf8('seed'));
const BASE = toHex(hashWithDomain('test/average', utf8('base')));
const EPOCH = 5;
/** Of the two tensors. */
const EXPONENTS = [-9, -7];

export class AverageNode {
  readonly index: number;
  readonly swarm: AverageSwarm;
  readonly store = new MemoryNodeStore();
  readonly identity;
  readonly own: OwnRow | undefined;
  readonly id: EntryId;
  readonly logged: { readonly message: string; readonly facts: Record<string, unknown> | undefined }[] = [];
  exchanges: Exchanges;
  port: SimulatedPort;
  averaged: Averaged | undefined;
  ended = false;
  doneMs = 0;
  /** Its process stands still, or is gone. */
  stopped = false;
  /** What it receives is taken in, and no answer of it arrives. */
  mute = false;
  /** Bits a ms of its link, both ways. */
  bitsPerMs = Number.POSITIVE_INFINITY;
  tamper: Tamper = (message) => message;
  /** What it answers in place of what it should. */
  answer: (message: AverageMessage, answer: Uint8Array | undefined) => Uint8Array | undefined = (_message, answer) => answer;
  /** What it sums in the first attempt in place of the row that it has committed to. */
  lie: IntRow | undefined;
  /** What it makes by a rule is one too large in its first value. */
  misrules = false;
  #freeMs = 0;

  constructor(swarm: AverageSwarm, index: number, values: IntRow | undefined) {
    this.swarm = swarm;
    this.index = index;
    this.identity = identityOf(index + 1);
    this.id = toHex(hashWithDomain('test/average', utf8(`entry ${index}`)));
    const secret = hashWithDomain('test/average', utf8(`secret ${index}`));
    this.own =
      values === undefined
        ? undefined
        : { values, rho: sis.expandRho(secret), salt: hashWithDomain('test/average', utf8(`salt ${index}`)) };
    this.port = swarm.network.attach(this.identity.peerId);
    this.exchanges = this.#start();
  }

  get node(): Fingerprint {
    return this.identity.fingerprint;
  }

  /** kill -9: the process is gone, and its connections with it. */
  kill(): void {
    this.stopped = true;
    this.exchanges.stop();
    this.swarm.network.detach(this.identity.peerId);
  }

  /** Another process over the same disk. */
  restart(roster = this.swarm.roster): void {
    this.stopped = false;
    this.port = this.swarm.network.attach(this.identity.peerId);
    this.exchanges = this.#start();
    this.begin(roster);
  }

  /** `roster`: what settled here; by default what settled everywhere. */
  begin(roster = this.swarm.roster): void {
    const { swarm } = this;
    const signers = swarm.nodes.map(({ node }) => node);
    const needed = Math.floor((signers.length + Math.floor((signers.length - 1) / 3)) / 2) + 1;
    void this.exchanges.begin({ base: swarm.base, roster, signers, needed }).then((averaged) => {
      this.averaged = averaged;
      this.ended = true;
      this.doneMs = swarm.clock.nowMs();
    });
  }

  /** Sends something else than it should in one chunk, and signs it. */
  misstate(isMeant: (message: ChunkMessage) => boolean, change: (bytes: Uint8Array) => Uint8Array): void {
    let done = false;
    this.tamper = (message, to) => {
      if (message.kind !== 'chunk' || done || !isMeant(message)) return message;
      done = true;
      const bytes = change(message.bytes);
      const { attempt, lane, step, chunk } = message;
      const signed = chunkBytes({ attempt, lane, step, from: this.node, to, chunk, hash: toHex(sha256(bytes)) });
      return { ...message, bytes, signature: this.identity.signEd25519(signed) };
    };
  }

  /** Ms until so many bytes have gone over its link, behind those that wait already. */
  async carry(bytes: number): Promise<void> {
    const { clock } = this.swarm;
    if (this.bitsPerMs === Number.POSITIVE_INFINITY) return;
    this.#freeMs = Math.max(this.#freeMs, clock.nowMs()) + (8 * bytes) / this.bitsPerMs;
    const waitMs = this.#freeMs - clock.nowMs();
    await new Promise<void>((resolve) => void clock.after(waitMs, resolve));
  }

  #start(): Exchanges {
    const { swarm, identity, port } = this;
    const world: ExchangeWorld = {
      clock: new ProcessClock(
        swarm.clock,
        TRUE_TIME,
        () => !this.stopped,
        (error) => swarm.thrown.push(error),
      ),
      streams: {
        peers: () => port.peers(),
        request: (peer, protocol, payload, options) => this.#request(port, peer, protocol, payload, options),
        handle: (protocol, handler) =>
          port.handle(protocol, async (from, payload) => {
            if (this.stopped) return never();
            await this.carry(payload.byteLength);
            const answer = this.answer(decodeAverage(payload), await handler(from, payload));
            await this.carry(answer?.byteLength ?? 0);
            return this.mute || this.stopped ? never() : answer;
          }),
      },
      journal: { log: (_level, _room, message, facts) => void this.logged.push({ message, facts }), count: () => {}, observe: () => {} },
      store: this.store,
      identity,
      swarm: SWARM,
      genesis: swarm.genesis,
      elements: swarm.elements,
      spans: layoutOf(swarm.genesis.tensors),
      compute: this.#compute(),
      seed: SEED,
      keyOf: (node) => swarm.byNode.get(node)?.identity.ed25519PublicKey,
      nodeOf: (peer) => swarm.nodes.find((one) => one.identity.peerId === peer)?.node,
      peerOf: (node) => swarm.byNode.get(node)?.identity.peerId,
      contribution: (id) => swarm.contributions.get(id),
      weights: (_base, roster) => roster.map((id) => swarm.weights.get(id) ?? 0),
      cost: () => swarm.cost,
      commitmentContext: contextOf,
      own: async (id) => {
        if (id !== this.id || this.own === undefined) return undefined;
        const values = this.lie ?? this.own.values;
        this.lie = undefined;
        return { ...this.own, values };
      },
    };
    return new Exchanges(world);
  }

  #compute(): Compute {
    const compute = createReference();
    const trimmedSum: Compute['trimmedSum'] = async (rows, trim) => {
      const sum = await compute.trimmedSum(rows, trim);
      return this.misrules ? sum.with(0, (sum[0] as number) + 1) : sum;
    };
    return { ...compute, trimmedSum };
  }

  async #request(
    port: SimulatedPort,
    peer: PeerId,
    protocol: StreamProtocol,
    payload: Uint8Array,
    options: RequestOptions,
  ): Promise<Uint8Array> {
    const { swarm } = this;
    const to = swarm.nodes.find((one) => one.identity.peerId === peer) as AverageNode;
    const sent = this.tamper(decodeAverage(payload), to.node);
    const fate = swarm.cut.has(`${this.index} ${to.index}`) || sent === undefined ? never() : this.carry(payload.byteLength);
    const timer = Promise.withResolvers<never>();
    const timeout = swarm.clock.after(options.timeoutMs, () =>
      timer.reject(new StarlingError('PEER_TIMEOUT', 'no answer', { peer, phase: protocol })),
    );
    try {
      await Promise.race([fate, timer.promise]);
      const asked = sent === undefined ? payload : encodeAverage(sent);
      return await Promise.race([port.request(peer, protocol, asked, options), timer.promise]);
    } finally {
      timeout.cancel();
    }
  }
}

export class AverageSwarm {
  readonly clock = new VirtualClock();
  readonly network: SimulatedNetwork;
  readonly genesis: Genesis;
  readonly elements: number;
  readonly nodes: AverageNode[] = [];
  readonly byNode = new Map<Fingerprint, AverageNode>();
  readonly contributions = new Map<EntryId, Contribution>();
  readonly weights = new Map<EntryId, number>();
  readonly roster: readonly EntryId[];
  readonly base = { epoch: EPOCH - 1, decision: BASE, scaleExponents: EXPONENTS as readonly number[] } as SwarmState;
  /** Pairs "from to" of node numbers over which nothing goes. */
  readonly cut = new Set<string>();
  readonly thrown: unknown[] = [];
  /** What entries tell of the links between members. */
  cost: LinkCost | undefined;

  constructor(options: AverageOptions) {
    const { nodes, members = nodes, elements = 1_000, schedule = 'ring', rule = 'mean', dtype = 'int16', seed = 1, loss = 0 } = options;
    const random = Random.from(seed, 'average');
    const site = (peer: PeerId): number => this.nodes.findIndex((one) => one.identity.peerId === peer) % 2;
    const { apartMs = 0 } = options;
    const link = apartMs === 0 ? {} : { maxDelayMs: 1, apartMs: (a: PeerId, b: PeerId) => (site(a) === site(b) ? 0 : apartMs) };
    this.network = new SimulatedNetwork(this.clock, random, { loss, minDelayMs: 1, maxDelayMs: 5, duplication: 0, ...link });
    this.elements = elements;
    this.genesis = {
      ...sample,
      tensors: [
        { name: 'w', shape: [elements - Math.floor(elements / 3)] },
        { name: 'b', shape: [Math.floor(elements / 3)] },
      ],
      schedule,
      aggregation: rule,
      updateDtype: dtype,
      minDeadlineMs: options.minDeadlineMs ?? 1_000,
      epochDeadlineMs: options.maxDeadlineMs ?? 4_000,
    };
    const rows = randomRows(members, elements, QMAX[dtype], (n) => Math.floor(random.uniform() * n));
    for (let i = 0; i < nodes; i++) {
      const node = new AverageNode(this, i, rows[i]);
      this.nodes.push(node);
      this.byNode.set(node.node, node);
      if (node.own === undefined) continue;
      this.contributions.set(node.id, this.#committed(node, node.own));
      this.weights.set(node.id, options.weights?.[i] ?? Math.floor(65_536 / members));
    }
    this.roster = [...this.contributions.keys()].sort();
  }

  node(index: number): AverageNode {
    return this.nodes[index] as AverageNode;
  }

  begin(): void {
    for (const node of this.nodes) if (!node.stopped) node.begin();
  }

  /** True when all of these have ended. */
  run(nodes: readonly AverageNode[], untilMs = 120_000): Promise<boolean> {
    return this.clock.runUntil(() => this.thrown.length > 0 || nodes.every(({ ended }) => ended), untilMs);
  }

  /** sum W_i q_i over these ids, the plain way. */
  sumOf(ids: readonly EntryId[]): number[] {
    const rows = this.nodes.filter(({ id }) => ids.includes(id));
    // Integers below 2^31: exact in doubles.
    return Array.from({ length: this.elements }, (_, k) =>
      rows.reduce((sum, { id, own }) => sum + (this.weights.get(id) ?? 0) * (own?.values[k] ?? 0), 0),
    );
  }

  /** What the rule makes of these rows, whole, where one node sees all of them: S, D and the distances. */
  async ruledOf(
    ids: readonly EntryId[],
  ): Promise<{ readonly sum: Int32Array; readonly weightTotal: number; readonly distances: bigint[] }> {
    const rows = ids.map((id) => this.nodes.find((node) => node.id === id)?.own?.values as IntRow);
    const weights = ids.map((id) => this.weights.get(id) as number);
    const spans = layoutOf(this.genesis.tensors);
    const made = await aggregate(this.genesis.aggregation, createReference(), { rows, weights, spans, exponents: EXPONENTS });
    return { ...made, distances: await distancesOfMoved(rows, spans, EXPONENTS) };
  }

  #committed(node: AverageNode, own: OwnRow): Contribution {
    const isBound = this.genesis.aggregation === 'mean';
    const commitment = isBound ? sis.commitmentHash(contextOf(EPOCH, node.node), sis.commit(SEED, own.values, own.rho)) : undefined;
    return {
      author: node.node,
      updateHash: updateHash(own.salt, bytesOf(own.values)),
      commitment: commitment === undefined ? null : toHex(commitment),
    };
  }
}

const contextOf = (epoch: number, author: Fingerprint): Uint8Array => utf8(`${SWARM} ${epoch} ${author}`);

const never = (): Promise<never> => new Promise(() => {});
