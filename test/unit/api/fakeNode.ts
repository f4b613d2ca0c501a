import type { EpochCurrent, EpochView, InviteRequest, NodeService, PeerView, ProofRequest, Submission } from '../../../src/api/service.ts';
import { partsOf } from '../../../src/epoch/index.ts';
import { type SignedEntry, StarlingError } from '../../../src/spec/index.ts';

export const hash = (digit: string): string => digit.repeat(64);
export const TENSORS = [
  { name: 'w', shape: [2, 3] },
  { name: 'b', shape: [3] },
];
export const VALUES = Float32Array.from({ length: 9 }, (_, i) => i - 4.5);

const head = { epoch: 3, decision: hash('d'), modelRoot: hash('e') };
const current: EpochCurrent = {
  epoch: 4,
  phase: 'collecting',
  roster: [hash('1')],
  deadlineMs: 900,
  latest: head,
  finalized: { ...head, epoch: 0 },
  applied: head,
  activeTrainers: 1,
  pinned: null,
  diffusion: null,
};
const decided = (epoch: number): EpochView => ({
  epoch,
  decision: hash('d'),
  status: 'provisional',
  roster: [{ entry: hash('1'), author: hash('a'), kind: 'contribution', weight: 65_536, samples: 10 }],
  aggregateHash: hash('c'),
  modelRoot: hash('e'),
  stateRoot: hash('f'),
  treeSize: 7,
  treeRoot: hash('9'),
  schedule: { mode: 'gossip', reason: 'small' },
  survivors: [hash('1')],
  dropped: [],
  broken: [],
  timeline: [{ step: 'submit', atMs: 0 }],
});
const peer: PeerView = {
  peerId: '12D3KooWfake',
  fingerprint: hash('b'),
  addresses: ['/ip4/127.0.0.1/tcp/1/p2p/12D3KooWfake'],
  transport: 'tcp',
  latencyMs: 1.5,
  source: 'dht',
  quarantine: null,
  session: { encryption: 'tls', direction: 'outbound' },
};
export const entry: SignedEntry = {
  id: hash('1'),
  core: {
    v: 1,
    swarm: hash('5'),
    author: hash('a'),
    seq: 0,
    prev: null,
    lam: 1,
    epochSeen: 0,
    anchorBlock: hash('d'),
    kind: 'join',
    deps: [],
    body: {
      certificate: {
        v: 1,
        mldsaPublicKey: new Uint8Array([1, 2]),
        ed25519PublicKey: new Uint8Array([3]),
        nodeClass: 'core',
        capabilities: [],
        signature: new Uint8Array([255]),
      },
      invite: null,
    },
  },
  coreBytes: new Uint8Array([0]),
  signature: new Uint8Array([0xab, 0xcd]),
};

export interface FakeNode extends NodeService {
  readonly submissions: Submission[];
  /** What it was asked to prove, and to invite. */
  readonly asked: ProofRequest[];
  readonly invited: InviteRequest[];
  votes: boolean;
  /** Sends an event to every subscriber of a topic. */
  emit(topic: string, event: unknown): void;
  subscribers(topic: string): number;
  /** What epoch_wait answers with, until then it waits. */
  readonly wait: PromiseWithResolvers<EpochCurrent>;
  /** Makes swarm() fail with what it is given: an error of ours, or a bug. */
  broken: Error | undefined;
  ledgerOk: boolean;
}

/** A node that stands still: every answer is fixed, submissions are kept. */
export function createFakeNode(): FakeNode {
  const listeners = new Map<string, Set<(event: unknown) => void>>();
  const of = (topic: string) => listeners.get(topic) ?? new Set();
  const node: FakeNode = {
    submissions: [],
    asked: [],
    invited: [],
    votes: true,
    broken: undefined,
    ledgerOk: true,
    wait: Promise.withResolvers(),
    emit: (topic, event) => {
      for (const listener of of(topic)) listener(event);
    },
    subscribers: (topic) => of(topic).size,
    info: () => ({
      fingerprint: hash('a'),
      peerId: '12D3KooWself',
      addresses: [],
      version: '9.8.7',
      class: 'core',
      swarmId: hash('5'),
      uptimeMs: 12,
      compute: { backend: 'ts', byOperation: {} },
      pid: 4_242,
    }),
    health: () => ({ ok: true, ready: false, stages: [{ name: 'rules', state: 'running' }], problems: [] }),
    shutdown: async () => {},
    peers: () => [peer],
    async dial(address) {
      if (address.endsWith('/9')) throw new StarlingError('UNREACHABLE', 'nobody there', { peer: address, phase: 'dial', fix: 'check it' });
      return peer;
    },
    swarm() {
      if (node.broken !== undefined) throw node.broken;
      return {
        swarmId: hash('5'),
        name: 'fake',
        tensors: TENSORS,
        parameters: 9,
        genesis: {},
        members: [
          { fingerprint: hash('a'), class: 'core', status: 'active', vote: 'voter', trust: 1, joinedEpoch: 0, lastEpoch: 3 },
          { fingerprint: hash('b'), class: 'edge', status: 'suspended', vote: 'none', trust: 0, joinedEpoch: 2, lastEpoch: 0 },
        ],
        seats: 1,
        tolerance: 'nothing',
      };
    },
    async ballot({ action, subject, epoch }) {
      if (!node.votes) throw new StarlingError('NOT_VOTER', 'this node does not vote', { phase: 'ballot' });
      return { entry: hash('1'), action, subject, epoch, ayes: [hash('a')], quorum: 3 };
    },
    membership: async () => hash('1'),
    async rollback(epoch) {
      if (epoch > 3) throw new StarlingError('NOT_FOUND', `epoch ${epoch} is not decided`, { field: 'epoch' });
      return { ...head, epoch, stateRoot: hash('f'), treeSize: 7, treeRoot: hash('9') };
    },
    goOn: async () => current,
    epoch: () => current,
    async epochAt(epoch) {
      if (epoch > 3) throw new StarlingError('NOT_FOUND', `epoch ${epoch} is not decided`, { field: 'epoch' });
      return decided(epoch);
    },
    epochs: async (limit) => [3, 2, 1].slice(0, limit).map(decided),
    waitEpoch: () => node.wait.promise,
    model: (which) => ({ head: which, epoch: 3, modelRoot: hash('e'), local: false, tensors: TENSORS, parameters: 9 }),
    modelValues: async () => ({ epoch: 3, modelRoot: hash('e'), local: false, parts: partsOf(VALUES) }),
    attachTrainer: (name) => ({ trainerId: `${name}-1`, attachedMs: 0, lastSubmission: null }),
    detachTrainer: () => {},
    trainers: () => [{ trainerId: 't-1', attachedMs: 5, lastSubmission: { epoch: 3, contributionId: hash('1') } }],
    async submit(submission) {
      if (submission.epoch < 4)
        throw new StarlingError('EPOCH_PAST', `epoch ${submission.epoch} is over`, { phase: 'submit', fix: 'use epoch 4' });
      node.submissions.push(submission);
      return { contributionId: hash('1'), epoch: submission.epoch, updateHash: hash('2') };
    },
    ledgerHead: () => ({
      epoch: 3,
      treeSize: 7,
      treeRoot: hash('9'),
      stateRoot: hash('f'),
      modelRoot: hash('e'),
      heads: [{ author: hash('a'), seq: 0, head: hash('1') }],
    }),
    ledgerList: () => [{ index: 0, entry }],
    ledgerGet(id) {
      if (id !== entry.id) throw new StarlingError('UNKNOWN_ENTRY', 'no such entry', { field: 'id' });
      return { entry, index: null };
    },
    invite(request) {
      if (!node.votes) throw new StarlingError('NOT_VOTER', 'this node does not vote', { phase: 'invite', fix: 'ask a voter' });
      node.invited.push(request);
      const invite = {
        v: 1,
        swarm: hash('5'),
        ...request,
        nonce: '0'.repeat(32),
        issuer: hash('a'),
        signature: new Uint8Array(4),
      } as const;
      return { token: 'starling-invite-1.abc', invite };
    },
    ledgerProve(request) {
      node.asked.push(request);
      return { v: 1, kind: 'consistency', swarm: hash('5'), keys: [], since: 'note', consistency: { from: 1, to: 7, path: [hash('7')] } };
    },
    ledgerCheckpoint: () => ({
      note: 'text\n\n\u2014 signer AAAA\n',
      signer: hash('a'),
      swarm: hash('5'),
      epoch: 3,
      treeSize: 7,
      treeRoot: hash('9'),
      modelRoot: hash('e'),
    }),
    ledgerConsistency: (fromSize) => ({ fromSize, fromRoot: hash('8'), treeSize: 7, treeRoot: hash('9'), path: [] }),
    ledgerVerify: async () => ({ ok: node.ledgerOk, entries: 7, authors: 2, treeSize: 7, treeRoot: hash('9'), forks: [], problems: [] }),
    trust: () => [{ fingerprint: hash('a'), trust: 1, emaX: 0 }],
    metrics: async () => '# HELP starling_up 1\nstarling_up 1\n',
    metricsJson: async () => [{ name: 'starling_up' }],
    subscribe(topic, listener) {
      const set = of(topic).add(listener);
      listeners.set(topic, set);
      return () => void set.delete(listener);
    },
  };
  return node;
}
