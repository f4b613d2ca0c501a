/** The methods as a client sees them: types only, so that a client loads neither schemas nor a server. */

import type { Proof } from '../ledger/proofFile.ts';
import type { EntryId, Fingerprint, Hex, NodeClass } from '../spec/types.ts';
import type {
  BallotView,
  CheckpointView,
  EpochCurrent,
  EpochView,
  EventTopic,
  InviteView,
  LedgerHead,
  LedgerReport,
  ModelView,
  NodeHealth,
  NodeInfo,
  NodeService,
  PeerView,
  ProofRequest,
  RollbackView,
  SwarmView,
  TrainerStatus,
} from './service.ts';

/** A ledger entry as JSON: byte strings are lower-case hex. */
export interface EntryJson {
  /** Position in the (provisional) tree; null when the entry is in no cut yet. */
  readonly index: number | null;
  readonly id: EntryId;
  readonly author: Fingerprint;
  readonly seq: number;
  readonly prev: EntryId | null;
  readonly lam: number;
  readonly epochSeen: number;
  readonly anchorBlock: Hex;
  readonly kind: string;
  readonly deps: readonly EntryId[];
  readonly body: unknown;
  readonly signature: Hex;
  readonly composite?: Hex;
}

type None = Record<never, never>;
type Call<P, R> = { readonly params: P; readonly result: R };

export interface Calls {
  node_info: Call<None, NodeInfo>;
  node_health: Call<None, NodeHealth>;
  node_shutdown: Call<None, { readonly stopping: true }>;
  peers_list: Call<None, readonly PeerView[]>;
  peers_dial: Call<{ readonly address: string }, PeerView>;
  swarm_info: Call<None, SwarmView>;
  swarm_invite: Call<
    { readonly nodeClass?: NodeClass; readonly vote?: boolean; readonly expiresMs: number; readonly uses?: number },
    { readonly token: string; readonly invite: Omit<InviteView['invite'], 'signature'> }
  >;
  swarm_ballot: Call<{ readonly action: BallotView['action']; readonly subject?: Fingerprint; readonly epoch?: number }, BallotView>;
  swarm_membership: Call<{ readonly action: 'leave' | 'resume' }, { readonly entry: EntryId }>;
  epoch_current: Call<None, EpochCurrent>;
  epoch_rollback: Call<{ readonly epoch: number }, RollbackView>;
  epoch_resume: Call<None, EpochCurrent>;
  epoch_get: Call<{ readonly epoch: number }, EpochView>;
  epoch_list: Call<{ readonly limit?: number }, readonly EpochView[]>;
  epoch_wait: Call<{ readonly epoch: number; readonly timeoutMs?: number }, EpochCurrent>;
  model_info: Call<{ readonly head?: ModelView['head'] }, ModelView>;
  trainer_attach: Call<{ readonly name?: string }, TrainerStatus>;
  trainer_detach: Call<{ readonly trainerId: string }, { readonly detached: true }>;
  trainer_status: Call<None, readonly TrainerStatus[]>;
  ledger_head: Call<None, LedgerHead>;
  ledger_list: Call<{ readonly from?: number; readonly limit?: number }, readonly EntryJson[]>;
  ledger_get: Call<{ readonly id: EntryId }, EntryJson>;
  ledger_prove: Call<Omit<ProofRequest, 'kind'> & { readonly kind?: ProofRequest['kind'] }, Proof>;
  ledger_checkpoint: Call<None, CheckpointView>;
  ledger_consistency: Call<{ readonly fromSize: number }, ReturnType<NodeService['ledgerConsistency']>>;
  ledger_verify: Call<None, LedgerReport>;
  trust_list: Call<None, ReturnType<NodeService['trust']>>;
  metrics_get: Call<None, unknown>;
  subscribe: Call<{ readonly topic: EventTopic }, { readonly topic: EventTopic }>;
  unsubscribe: Call<{ readonly topic: EventTopic }, { readonly topic: EventTopic }>;
  'rpc.discover': Call<None, unknown>;
}

export type MethodName = keyof Calls;

export type { Receipt } from './service.ts';
