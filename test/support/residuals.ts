import type { TensorSpan } from '../../src/aggregation/index.ts';
import type { ContentIndex } from '../../src/crypto/index.ts';
import type { BlobStore, NodeStore } from '../../src/epoch/ports.ts';
import { Residual } from '../../src/epoch/residual.ts';
import { MemoryBlobStore } from '../../src/simulation/stores.ts';
import type { ContentRoot, Hex } from '../../src/spec/index.ts';

/** Content on a disk of which each write is announced first, by what may throw. */
export class AnnouncingBlobStore extends MemoryBlobStore {
  readonly #announce: () => void;

  constructor(announce: () => void) {
    super();
    this.#announce = announce;
  }
  override async putParts(parts: AsyncIterable<Uint8Array>): Promise<ContentIndex> {
    this.#announce();
    return super.putParts(parts);
  }
  override async delete(root: ContentRoot): Promise<void> {
    this.#announce();
    return super.delete(root);
  }
}

export const openResidual = (
  store: NodeStore,
  own: BlobStore,
  spans: readonly TensorSpan[],
  onLedger: (updateHash: Hex) => boolean = () => false,
): Residual => new Residual({ store, own, spans, onLedger, journal: { log: () => undefined } });

/** All that a residual holds: f32, P elements. */
export async function valuesOf(residual: Residual): Promise<Float32Array> {
  const parts: Float32Array[] = [];
  for await (const { values } of residual.all()) parts.push(values);
  const whole = new Float32Array(parts.reduce((n, { length }) => n + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
