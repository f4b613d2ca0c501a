/** A sum that somebody else holds: pulled in chunks, for whoever could not finish or has no row. */
import { bytesOf, int32Of } from '../../aggregation/index.ts';
import { sis } from '../../crypto/index.ts';
import { CHUNK_BYTES, type Fingerprint, type Hex } from '../../spec/index.ts';
import { open } from './ask.ts';
import type { Sums } from './run.ts';
import { type ExchangeWorld, turn } from './world.ts';

/** Chunks asked for at once. */
const WINDOW = 4;

/** Both sums as `node` holds them; undefined where it does not give all of them. What they are worth is for the caller to check. */
export async function pullSums(world: ExchangeWorld, node: Fingerprint, attempt: Hex, signal: AbortSignal): Promise<Sums | undefined> {
  const pull = async (lane: number, length: number): Promise<Int32Array | undefined> => {
    const content = new Uint8Array(4 * length);
    const offsets = Array.from({ length: Math.ceil(content.byteLength / CHUNK_BYTES) }, (_, i) => i * CHUNK_BYTES);
    for (let i = 0; i < offsets.length; i += WINDOW) {
      const some = offsets.slice(i, i + WINDOW);
      const chunks = await Promise.all(some.map((offset) => open(world, node, attempt, 'sum', [lane, offset], { signal })));
      for (const [k, chunk] of chunks.entries()) {
        const offset = some[k] as number;
        if (chunk?.byteLength !== Math.min(CHUNK_BYTES, content.byteLength - offset)) return undefined;
        content.set(chunk, offset);
      }
      await turn(world.clock);
    }
    return int32Of(content);
  };
  const rhoSum = await pull(0, sis.RHO_ROW_LENGTH);
  const sum = rhoSum === undefined ? undefined : await pull(1, world.elements);
  return rhoSum === undefined || sum === undefined ? undefined : { rhoSum, sum };
}

/** The chunk of a held sum that was asked for; undefined for one that it does not have. */
export function chunkOf({ rhoSum, sum }: Sums, [lane, offset = 0]: readonly number[]): Uint8Array | undefined {
  const bytes = bytesOf(lane === 0 ? rhoSum : sum);
  return offset % CHUNK_BYTES === 0 && offset < bytes.byteLength ? bytes.subarray(offset, offset + CHUNK_BYTES) : undefined;
}
