import { z } from 'zod';

/** 32 bytes as lower-case hex. */
export const Hash = z.string().regex(/^[0-9a-f]{64}$/, 'expected 64 lower-case hexadecimal digits');
export const Count = z.int().min(0);
export const Epoch = Count.describe('epoch number; 0 is the genesis');
export const Head = z.enum(['finalized', 'latest', 'applied']);
export const Topic = z.enum(['epoch', 'peers', 'ledger', 'trust', 'log']);
export const NodeClassName = z.enum(['core', 'edge', 'relay', 'observer']);
export const NoParams = z.strictObject({});
export const Tensors = z.array(z.looseObject({ name: z.string(), shape: z.array(Count) }));
const HeadResult = z.looseObject({ epoch: Epoch, decision: Hash, modelRoot: Hash });

export const EpochCurrentResult = z.looseObject({
  epoch: Epoch,
  phase: z.enum(['idle', 'collecting', 'negotiating', 'averaging', 'auditing', 'voting', 'applying']),
  roster: z.array(Hash),
  deadlineMs: z.number().nullable(),
  latest: HeadResult,
  finalized: HeadResult,
  applied: HeadResult,
  pinned: Epoch.nullable(),
  diffusion: z.looseObject({ round: Count, neighbours: z.array(Hash) }).nullable(),
});

export const EpochResult = z.looseObject({
  epoch: Epoch,
  decision: Hash,
  status: z.enum(['genesis', 'provisional', 'finalized']),
  roster: z.array(z.looseObject({ entry: Hash, author: Hash, kind: z.string(), weight: Count })),
  modelRoot: Hash,
  stateRoot: Hash,
  treeSize: Count,
  treeRoot: Hash,
  schedule: z.looseObject({ mode: z.enum(['gossip', 'ring', 'grid', 'butterfly']).nullable(), reason: z.string() }),
  survivors: z.array(Hash),
  broken: z.array(z.tuple([Hash, Hash])),
  dropped: z.array(
    z.looseObject({
      entry: Hash,
      author: Hash,
      why: z.enum(['evidence', 'unreachable', 'links']),
      by: z.array(Hash),
      at: z.looseObject({ phase: z.string(), from: Hash, to: Hash }).nullable(),
    }),
  ),
});

export const PeerResult = z.looseObject({
  peerId: z.string(),
  fingerprint: Hash.nullable(),
  addresses: z.array(z.string()),
  transport: z.enum(['tcp', 'quic', 'unknown']),
  latencyMs: z.number().nullable(),
  source: z.enum(['bootstrap', 'dht', 'memory', 'mdns', 'dialled', 'inbound']),
  quarantine: z.looseObject({ field: z.string(), where: z.string(), sinceEpoch: Count }).nullable(),
  session: z.looseObject({ encryption: z.string(), direction: z.enum(['inbound', 'outbound']) }),
});

export const EntryResult = z.looseObject({
  index: Count.nullable(),
  id: Hash,
  author: Hash,
  seq: Count,
  prev: Hash.nullable(),
  lam: Count,
  kind: z.string(),
  deps: z.array(Hash),
});

export const TrainerResult = z.looseObject({
  trainerId: z.string(),
  attachedMs: z.number(),
  lastSubmission: z.looseObject({ epoch: Epoch, contributionId: Hash.nullable() }).nullable(),
});
