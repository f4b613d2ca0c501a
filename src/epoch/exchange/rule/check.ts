/** What a rule made of rows is worth to who did not take part: as many members as may lie, and one more, say that they hold it. */
import { type Fingerprint, type Hex, QMAX, WEIGHT_TOTAL } from '../../../spec/index.ts';
import { decode, encode, type OpeningKind, readBytes, readInt, readList, readTuple } from '../../../wire/index.ts';
import { chunkOf, pullSums } from '../adopt.ts';
import { type AskWorld, open } from '../ask.ts';
import { digestOf } from '../check.ts';
import type { AuthorOf } from '../findings.ts';
import { type Averaged, averagedOf } from '../job.ts';
import type { SumShape } from '../plans.ts';
import type { Check, SumCheckInput } from '../sumCheck.ts';
import type { Witness } from '../witness.ts';
import type { Ruled, Sums } from '../work.ts';
import type { ExchangeWorld } from '../world.ts';
import { neededIn } from './layout.ts';

export type RuleCheckWorld = AskWorld & Pick<ExchangeWorld, 'clock' | 'genesis' | 'elements'>;

export type RuleCheckInput = Pick<SumCheckInput, 'attempt' | 'id' | 'rows' | 'weights'> & {
  readonly authorOf: AuthorOf;
  readonly witness: Pick<Witness, 'findingsOf'>;
};

export class RuleCheck implements Check {
  readonly #world: RuleCheckWorld;
  readonly #input: RuleCheckInput;
  readonly #shape: SumShape;

  constructor(world: RuleCheckWorld, input: RuleCheckInput) {
    this.#world = world;
    this.#input = input;
    // Whatever the rule: no value of S is larger than D times that of a row.
    const lane = (elements: number) => ({ elements, weights: [WEIGHT_TOTAL], qmax: QMAX[world.genesis.updateDtype] });
    this.#shape = { weights: [WEIGHT_TOTAL], unit: 1, lanes: [lane(0), lane(world.elements)] };
  }

  async collect(): Promise<void> {}

  silentAuthors() {
    return [];
  }

  /** What was made here was taken from nobody alone (run.ts). */
  async holds(sums: Sums, isOwn: boolean): Promise<boolean> {
    if (isOwn) return true;
    return sums.ruled?.distances.length === this.#input.rows.size && this.mayHold(await digestOf(this.#world.clock, sums));
  }

  /** As many members as may lie, and one more, have signed that they hold this very one. */
  mayHold(digest: Hex | null | undefined): boolean {
    const { attempt, id, rows, authorOf, witness } = this.#input;
    if (digest === null || digest === undefined) return false;
    const holders = witness.findingsOf(id).filter(({ node, done }) => rows.has(node) && done === digest);
    return holders.length >= neededIn(attempt, authorOf);
  }

  async blame(): Promise<undefined> {}

  async pull(holder: Fingerprint, signal: AbortSignal): Promise<Sums | undefined> {
    const { id } = this.#input;
    const told = await open(this.#world, holder, id, 'ruled', [], { signal });
    const ruled = told === undefined ? undefined : readRuled(told, this.#input.rows.size);
    const sums = ruled === undefined ? undefined : await pullSums(this.#world, holder, id, this.#shape, signal);
    return sums === undefined || ruled === undefined ? undefined : { ...sums, ruled };
  }

  show(sums: Sums, what: OpeningKind, at: readonly number[]): Uint8Array | undefined {
    if (what === 'sum') return chunkOf(sums, this.#shape, at);
    return sums.ruled === undefined ? undefined : encodeRuled(sums.ruled);
  }

  averaged(sums: Sums): Averaged {
    const { attempt, weights } = this.#input;
    return averagedOf(attempt, sums, new Map(attempt.roster.map((id, i) => [id, weights[i] as number])), () => undefined);
  }
}

/** Bytes of a distance (DISTANCE_BITS), and of them all. */
const DISTANCE_BYTES = 16;
const RULED_MAX_BYTES = 64 * 1024;

/** [D, distances as big-endian bytes]. */
const encodeRuled = ({ weightTotal, distances }: Ruled): Uint8Array =>
  encode([weightTotal, distances.map((n) => Buffer.from(n.toString(16).padStart(2 * DISTANCE_BYTES, '0'), 'hex'))]);

function readRuled(bytes: Uint8Array, rows: number): Ruled | undefined {
  try {
    const [weightTotal, distances] = readTuple(decode(bytes, 'ruled', RULED_MAX_BYTES, rows + 3), 'ruled', 2);
    return {
      weightTotal: readInt(weightTotal, 'ruled.weightTotal', 0, WEIGHT_TOTAL),
      distances: readList(distances, 'ruled.distances', rows, (one, field) =>
        BigInt(`0x${Buffer.from(readBytes(one, field, DISTANCE_BYTES)).toString('hex')}`),
      ),
    };
  } catch {
    return undefined;
  }
}
