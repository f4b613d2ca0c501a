/** What rules compute, a piece at a time: whoever waits for nothing else lets others run in between. */
import type { Compute, IntRow } from '../../compute/api.ts';

export type RuleCompute = Pick<Compute, 'weightedSum' | 'trimmedSum' | 'sqDist' | 'pairwiseSqDist'> & {
  /** Lets others run, between pieces of what a rule does itself. */
  readonly turn?: () => Promise<void>;
};

/** Integers of all rows together that are handled between two turns: some 10 ms of the slowest, a median, in plain TypeScript. */
const CELLS = 2 ** 20;

/** The same results, exactly: sums of a coordinate hang on nothing else, and squares add up below 2^53 as in one call. */
export function inPieces(compute: RuleCompute, turn: () => Promise<void>): RuleCompute {
  async function* pieces(rows: readonly IntRow[]): AsyncGenerator<{ readonly start: number; readonly part: IntRow[] }> {
    const length = rows[0]?.length ?? 0;
    const size = Math.max(1, Math.floor(CELLS / rows.length));
    for (let start = 0; start < length; start += size) {
      if (start > 0) await turn();
      yield { start, part: rows.map((row) => row.subarray(start, start + size)) };
    }
  }

  async function joined(rows: readonly IntRow[], make: (part: IntRow[]) => Promise<Int32Array>): Promise<Int32Array> {
    const sum = new Int32Array(rows[0]?.length ?? 0);
    for await (const { start, part } of pieces(rows)) sum.set(await make(part), start);
    return sum;
  }

  return {
    turn,
    weightedSum: (rows, weights) => joined(rows, (part) => compute.weightedSum(part, weights)),
    trimmedSum: (rows, trim) => joined(rows, (part) => compute.trimmedSum(part, trim)),
    async sqDist(x, y) {
      if (x instanceof Float32Array || y instanceof Float32Array) return compute.sqDist(x, y);
      let total = 0;
      for await (const { part } of pieces([x, y])) total += await compute.sqDist<IntRow>(part[0] as IntRow, part[1] as IntRow);
      return total;
    },
    async pairwiseSqDist(rows) {
      const totals = new Float64Array(rows.length * rows.length);
      if (!isWhole(rows)) return compute.pairwiseSqDist(rows);
      for await (const { part } of pieces(rows)) {
        const squares = await compute.pairwiseSqDist(part);
        for (const [i, square] of squares.entries()) totals[i] = (totals[i] as number) + square;
      }
      return totals;
    },
  };
}

const isWhole = (rows: Parameters<Compute['pairwiseSqDist']>[0]): rows is readonly IntRow[] => !(rows[0] instanceof Float32Array);
