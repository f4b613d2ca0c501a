/**
 * A sum that somebody else holds: pulled in chunks, for whoever could not finish or has no row. It travels as sums do, in as few bytes as
 * its bound allows and less what all weights have in common.
 */
import { chunkElements, packInts, type Summands, scratchFor, totalEncoding, unpackInts } from '../../aggregation/schedule/index.ts';
import type { Fingerprint, Hex } from '../../spec/index.ts';
import { type AskWorld, open } from './ask.ts';
import type { SumShape } from './plans.ts';
import type { Sums } from './work.ts';
import { type ExchangeWorld, turn } from './world.ts';

/** Chunks asked for at once. */
const WINDOW = 4;

/** Both sums as `node` holds them; undefined where it does not give all of them. What they are worth is for the caller to check. */
export async function pullSums(
  world: AskWorld & Pick<ExchangeWorld, 'clock'>,
  node: Fingerprint,
  attempt: Hex,
  { unit, lanes }: SumShape,
  signal: AbortSignal,
): Promise<Sums | undefined> {
  const pull = async (lane: number): Promise<Int32Array | undefined> => {
    const { width, bound } = totalEncoding(lanes[lane] as Summands);
    const sum = new Int32Array((lanes[lane] as Summands).elements);
    const size = chunkElements(width);
    const scratch = scratchFor(size);
    for (let i = 0; i * size < sum.length; i += WINDOW) {
      const some = Array.from({ length: WINDOW }, (_, k) => i + k).filter((k) => k * size < sum.length);
      const chunks = await Promise.all(some.map((k) => open(world, node, attempt, 'sum', [lane, k], { signal })));
      for (const [k, chunk] of chunks.entries()) {
        const place = sum.subarray((i + k) * size, (i + k + 1) * size);
        if (chunk === undefined || !unpack(chunk, place)) return undefined;
        if (unit !== 1) for (let at = 0; at < place.length; at++) place[at] = (place[at] as number) * unit;
      }
      await turn(world.clock);
    }
    return sum;

    function unpack(chunk: Uint8Array, place: Int32Array): boolean {
      try {
        place.set(unpackInts(chunk, place.length, width, bound, scratch));
        return true;
      } catch {
        return false;
      }
    }
  };
  const rhoSum = await pull(0);
  const sum = rhoSum === undefined ? undefined : await pull(1);
  return rhoSum === undefined || sum === undefined ? undefined : { rhoSum, sum };
}

/** The chunk of a held sum that was asked for; undefined for one that it does not have. */
export function chunkOf({ rhoSum, sum }: Sums, { unit, lanes }: SumShape, [lane, index = 0]: readonly number[]): Uint8Array | undefined {
  const { width, bound } = totalEncoding(lanes[lane === 0 ? 0 : 1] as Summands);
  const size = chunkElements(width);
  const values = (lane === 0 ? rhoSum : sum).subarray(index * size, (index + 1) * size);
  if (values.length === 0) return undefined;
  return packInts(unit === 1 ? values : values.map((value) => value / unit), 0, values.length, width, bound);
}
