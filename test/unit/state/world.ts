/** Members, entries and steps for the tests of the state. Signatures of invites are real, those of entries are zeros. */
import { type Identity, identityFromSeeds, nativeMldsa } from '../../../src/crypto/index.ts';
import type {
  AggregateHeader,
  BallotBody,
  ContributionBody,
  Evidence,
  Fingerprint,
  Genesis,
  Invite,
  MemberState,
  MembershipBody,
  NodeClass,
  SignedEntry,
  SwarmState,
  Vote,
} from '../../../src/spec/index.ts';
import { initialState, reduce, type Step, votersOf } from '../../../src/state/index.ts';
import { makeCertificate, makeInvite } from '../../../src/wire/index.ts';
import { draft, hashOf, SWARM } from '../ledger/entries.ts';
import { genesis as sample } from '../wire/samples.ts';

export const EMPTY = hashOf('empty tree');
export const identityOf = (n: number): Identity =>
  identityFromSeeds({ mldsaSeed: new Uint8Array(32).fill(n), ed25519Seed: new Uint8Array(32).fill(n + 100) }, nativeMldsa);

/** Eight of them, ascending by fingerprint, so that a test can say who comes first. */
export const people: readonly Identity[] = [1, 2, 3, 4, 5, 6, 7, 8]
  .map(identityOf)
  .sort((a, b) => (a.fingerprint < b.fingerprint ? -1 : 1));
export const who = (n: number): Fingerprint => (people[n] as Identity).fingerprint;

const certificates = new Map<string, ReturnType<typeof makeCertificate>>();
function certificateOf(n: number, nodeClass: NodeClass = 'core'): ReturnType<typeof makeCertificate> {
  const key = `${n}/${nodeClass}`;
  const certificate = certificates.get(key) ?? makeCertificate(people[n] as Identity, nodeClass, []);
  certificates.set(key, certificate);
  return certificate;
}

export const genesisOf = (founders: readonly number[], change: Partial<Genesis> = {}): Genesis => ({
  ...sample,
  founders: founders.map((n) => certificateOf(n)),
  lambda: 1,
  scaleExponents: [-12, -12],
  voting: 'invited',
  ...change,
});

export const inviteBy = (n: number, change: Partial<Invite> = {}): Invite =>
  makeInvite(
    { swarm: SWARM, nodeClass: 'core', vote: false, expiresMs: 1_000, uses: 1, nonce: '07'.repeat(16), ...change },
    people[n] as Identity,
  );

const entryOf = (n: number, change: object): SignedEntry => draft({ author: who(n), change: change as never });
export const joins = (n: number, invite: Invite | null = null, nodeClass: NodeClass = 'core'): SignedEntry =>
  entryOf(n, { kind: 'join', body: { certificate: certificateOf(n, nodeClass), invite } });
export const says = (n: number, action: MembershipBody['action']): SignedEntry => entryOf(n, { kind: 'membership', body: { action } });
export const ballot = (n: number, action: BallotBody['action'], subject: Fingerprint | null, epoch = 0, epochSeen = epoch): SignedEntry =>
  entryOf(n, { kind: 'ballot', epochSeen, body: { action, subject, epoch } });
export const verdict = (n: number, step: Pick<Step, 'body'>, good: boolean, change: object = {}): SignedEntry =>
  entryOf(n, {
    kind: 'verdict',
    body: {
      epoch: step.body.epoch,
      base: step.body.prev,
      aggregateHash: step.body.aggregateHash,
      good,
      reason: good ? '' : 'worse',
      ...change,
    },
  });

export function votedTwice(n: number): Evidence {
  const vote: Vote = { epoch: 1, round: 0, step: 'prevote', block: hashOf('x'), voter: who(n), signature: new Uint8Array(64) };
  return { first: { ...vote, block: null }, second: vote };
}

export interface Given {
  readonly cut?: readonly SignedEntry[];
  /** Verdicts on the step itself: who, good or bad. */
  readonly verdicts?: readonly (readonly [number, boolean])[];
  readonly evidence?: readonly Evidence[];
  /** Whose second branch the cut brings in. */
  readonly forked?: readonly number[];
  readonly by?: readonly number[];
  readonly distances?: readonly string[];
  readonly weights?: readonly number[];
  readonly timeMs?: number;
  readonly provisional?: boolean;
  /** Epochs ahead of the state. */
  readonly ahead?: number;
}

export const modelAt = (epoch: number): string => hashOf(`model ${epoch}`);

/** Of an aggregate that only its distances tell anything about. */
export const headerOf = (epoch: number, distances: readonly string[]): AggregateHeader => ({
  v: 1,
  epoch,
  weightTotal: 60_000,
  sumRoot: hashOf('sum'),
  sumBytes: 28,
  distances,
  opening: null,
});

export const contributionOf = (epoch: number, maxAbs: readonly number[], updateHash: string): ContributionBody => ({
  epoch,
  updateHash,
  sizeBytes: 14,
  samples: 10,
  maxAbs,
  metrics: {},
  commitment: null,
  staleness: 0,
  links: [],
});

export function stepOf(state: SwarmState, given: Given): Step {
  const {
    cut = [],
    verdicts = [],
    evidence = [],
    forked = [],
    by = [],
    distances,
    weights,
    timeMs = 500,
    provisional = false,
    ahead = 1,
  } = given;
  const epoch = state.epoch + ahead;
  const step: Step = {
    id: hashOf(`decision ${epoch}`),
    body: {
      epoch,
      prev: state.decision,
      roster: [],
      weights: weights ?? by.map(() => 7),
      aggregateHash: hashOf(`aggregate ${epoch}`),
      dropped: [],
    },
    header: by.length === 0 ? undefined : headerOf(epoch, distances ?? by.map(() => '10')),
    cut: [],
    forked: forked.map(who),
    contributions: by.map((n) => ({
      author: who(n),
      body: contributionOf(epoch, [32_767, 20_000], hashOf(`update ${n} ${epoch}`)),
    })),
    faulty: [],
    treeSize: state.treeSize + cut.length,
    leavesHash: hashOf(`leaves ${epoch}`),
    treeRoot: hashOf(`tree ${epoch}`),
    modelRoot: modelAt(epoch),
    block: provisional ? undefined : { timeMs, evidence, rosterHash: hashOf(`roster ${epoch}`) },
    modelRootAt: modelAt,
  };
  return { ...step, cut: [...cut, ...verdicts.map(([n, good]) => verdict(n, step, good))] };
}

/** Applies one after the other, beginning with the genesis or with `from`. */
export const run = (genesis: Genesis, all: readonly Given[], from: SwarmState = initialState(genesis, SWARM, EMPTY)): SwarmState =>
  all.reduce((state, given) => reduce(genesis, SWARM, state, stepOf(state, given)), from);

export const find = (state: SwarmState, n: number): MemberState | undefined => state.members.find((m) => m.fingerprint === who(n));
/** Who votes, as numbers. */
export const voters = (state: SwarmState): number[] => votersOf(state).map((f) => people.findIndex((p) => p.fingerprint === f));
