/** What a session knows of the attempt that runs. */
import type { Attempt, EntryId, Fingerprint, Hex } from '../../spec/index.ts';
import type { AccusedEdge, Finding, OpeningKind } from '../../wire/index.ts';
import { chunkOf } from './adopt.ts';
import { encodeReceipt } from './blame.ts';
import type { Commitments, Wanted } from './commitments.ts';
import type { OwnOpenings } from './openings.ts';
import type { Probe } from './probe.ts';
import type { Run, Sums } from './run.ts';
import type { OwnRow } from './world.ts';

/** The attempt that runs here. */
export interface Current {
  readonly attempt: Attempt;
  readonly id: Hex;
  /** Contributions that are summed, by author. */
  readonly rows: ReadonlyMap<Fingerprint, EntryId>;
  readonly abort: AbortController;
  readonly accused: AccusedEdge[];
  run: Run | undefined;
  own: OwnRow | undefined;
  opens: OwnOpenings | undefined;
  probe: Probe | undefined;
  /** The sums that were checked, and their digest. */
  held: { readonly sums: Sums; readonly digest: Hex; readonly atMs: number } | undefined;
  /** When it was first taken for failed here. */
  failedMs: number | undefined;
  failing: boolean;
  /** All was exchanged, and is checked or looked into. */
  checking: boolean;
  /** Whom it did not reach when it failed; undefined before. */
  unreachable: readonly Fingerprint[] | undefined;
  adopting: boolean;
  /** Whose sum was not what it announced. */
  readonly liars: Set<Fingerprint>;
}

/** An attempt that was just certified. */
export const currentOf = (attempt: Attempt, id: Hex, rows: ReadonlyMap<Fingerprint, EntryId>): Current => ({
  attempt,
  id,
  rows,
  abort: new AbortController(),
  accused: [],
  run: undefined,
  own: undefined,
  opens: undefined,
  probe: undefined,
  held: undefined,
  failedMs: undefined,
  failing: false,
  checking: false,
  unreachable: undefined,
  adopting: false,
  liars: new Set(),
});

/** Commitments that its sum is checked against. */
export const wantedOf = ({ id, attempt, rows }: Current): Wanted => ({ attempt: id, roster: attempt.roster, rows });

/** Others in reach that say they hold the sum. */
export function holdersOf({ liars, unreachable = [] }: Current, findings: readonly Finding[], self: Fingerprint): Fingerprint[] {
  const out = new Set([self, ...liars, ...unreachable]);
  return findings.flatMap(({ node, done }) => (done === null || out.has(node) ? [] : [node]));
}

/** Links to those that have not shown what they had committed to, although all else was exchanged. */
export const silentAuthors = ({ rows }: Current, commitments: Commitments, to: Fingerprint): AccusedEdge[] =>
  [...rows]
    .filter(([, id]) => commitments.get(id) === undefined)
    .map(([from]) => ({ phase: 'reduceScatter', from, to, chunk: 0, reason: 'no commitment' }));

/** What is asked of a sum that is made, or was refused. */
export async function openingOf({ held, opens, run }: Current, what: OpeningKind, at: readonly number[]): Promise<Uint8Array | undefined> {
  const [first = 0, second = 0, third = 0, fourth = 0] = at;
  switch (what) {
    case 'sum':
      return held === undefined ? undefined : chunkOf(held.sums, at);
    case 'part':
      return opens?.part(first, second);
    case 'rho':
      return opens?.rho();
    case 'row':
      return opens?.row(first);
    case 'sent': {
      const receipt = run?.lanes[first]?.receipt({ step: second, from: third }, fourth);
      return receipt === undefined ? undefined : encodeReceipt(receipt);
    }
    default:
      return undefined;
  }
}
