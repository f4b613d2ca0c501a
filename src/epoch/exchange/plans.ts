/** What each member of an attempt sends and receives: derived from what q voters signed, so that all derive the same. */
import {
  arrange,
  beaconOf,
  butterflyPlan,
  gridPlan,
  type LinkCost,
  type Plan,
  rankOrder,
  reduced,
  type Summands,
  scheduleOf,
} from '../../aggregation/schedule/index.ts';
import { sis } from '../../crypto/index.ts';
import { type Attempt, type EntryId, type Fingerprint, type Genesis, QMAX, StarlingError, survivorsOf } from '../../spec/index.ts';
import { type AuthorOf, rowsOf } from './findings.ts';

export interface Layout {
  /** Members by rank. */
  readonly order: readonly Fingerprint[];
  /** Ids and weights by rank. */
  readonly ids: readonly EntryId[];
  readonly weights: readonly number[];
  /** Brings sums of reduced weights back. */
  readonly unit: number;
  /** ring, grid or butterfly, and why. */
  readonly schedule: string;
  readonly why: string;
  readonly lanes: readonly { readonly summands: Summands; readonly planOf: (rank: number) => Plan }[];
}

export interface LayoutInput {
  readonly genesis: Genesis;
  readonly elements: number;
  readonly attempt: Attempt;
  /** One for each id of the whole roster. */
  readonly weights: readonly number[];
  /** Of the links between its members, as the roster's entries tell; undefined where they tell nothing. */
  readonly cost: LinkCost | undefined;
  readonly authorOf: AuthorOf;
}

/** What is summed up, of weights in any order: rho's digits, then the values, less what the weights have in common. */
export interface SumShape {
  readonly weights: readonly number[];
  /** Brings sums of reduced weights back. */
  readonly unit: number;
  readonly lanes: readonly Summands[];
}

/** Throws BOUNDS_EXCEEDED for weights that int32 cannot bear. */
export function shapeOf({ updateDtype }: Pick<Genesis, 'updateDtype'>, elements: number, all: readonly number[]): SumShape {
  const { weights, unit } = reduced(all);
  const lane = (length: number, qmax: number): Summands => ({ elements: length, weights, qmax });
  return { weights, unit, lanes: [lane(sis.RHO_ROW_LENGTH, sis.RHO_DIGIT_BOUND), lane(elements, QMAX[updateDtype])] };
}

/** Throws DUPLICATE where a roster names an author twice, BOUNDS_EXCEEDED for weights that int32 cannot bear. */
export function layoutOf({ genesis, elements, attempt, weights, cost, authorOf }: LayoutInput): Layout {
  const ids = rowsOf(attempt, authorOf);
  const members = [...ids.keys()];
  if (members.length !== survivorsOf(attempt).filter((id) => authorOf(id) !== undefined).length)
    throw new StarlingError('DUPLICATE', 'an author is rostered twice', { field: 'roster', phase: 'average' });
  const { schedule, why } = scheduleOf(genesis, members.length, attempt.broken.length, cost !== undefined);
  const beacon = beaconOf(attempt.base, attempt.epoch);
  const isButterfly = schedule === 'butterfly' && attempt.broken.length === 0;
  const shape = schedule === 'grid' ? 'grid' : 'ring';
  const near = cost === undefined ? {} : { cost };
  const arranged = isButterfly ? undefined : arrange({ beacon, attempt: attempt.number, members, broken: attempt.broken, shape, ...near });
  const order = arranged?.order ?? rankOrder(beacon, attempt.number, members);
  const ordered = order.map((member) => ids.get(member) as EntryId);
  const byId = new Map(attempt.roster.map((id, i) => [id, weights[i] as number]));
  const inOrder = ordered.map((id) => byId.get(id) ?? 0);
  const { unit, lanes } = shapeOf(genesis, elements, inOrder);
  const lane = (summands: Summands) => {
    const planOf = (rank: number): Plan =>
      arranged === undefined ? butterflyPlan(rank, summands) : gridPlan(arranged.grid, rank, summands);
    return { summands, planOf };
  };
  return {
    order,
    ids: ordered,
    weights: inOrder,
    unit,
    schedule,
    why,
    lanes: lanes.map(lane),
  };
}
