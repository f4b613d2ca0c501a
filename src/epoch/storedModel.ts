/** Models as the steps use them: in memory where they are small, else read from content on disk, a part at a time. */
import { bytesOf, float32Of } from '../aggregation/index.ts';
import { ContentHasher, type ContentIndex, verifyChunk } from '../crypto/index.ts';
import { CHUNK_BYTES, type ContentRoot, MIB, StarlingError } from '../spec/index.ts';
import type { BlobStore } from './ports.ts';

/**
 * Bytes from which on a model is not kept in memory: four million parameters. Beside one, which is read for a moment twice an epoch, there
 * is always a sum as large.
 */
export const LARGE_MODEL_BYTES = 16 * MIB;

/** A model that lies in a store. */
export interface StoredModel {
  readonly index: ContentIndex;
  readonly store: Pick<BlobStore, 'readChunk'>;
}

/** P f32. */
export type Model = Float32Array | StoredModel;

/** Elements of a part: those of a chunk. */
const PART = CHUNK_BYTES / Float32Array.BYTES_PER_ELEMENT;

/** In order; MUST not be changed by the caller. Every chunk is checked as it is read. Throws DATA_CORRUPT, AGGREGATE_MISSING where it has gone. */
export async function* partsOf(model: Model): AsyncGenerator<Float32Array> {
  if (model instanceof Float32Array) {
    for (let start = 0; start < model.length; start += PART) yield model.subarray(start, start + PART);
    return;
  }
  const { index, store } = model;
  for (let i = 0; i < index.leaves.length; i++) {
    const chunk = await store.readChunk(index.root, i);
    if (chunk === undefined)
      throw new StarlingError('AGGREGATE_MISSING', `the model ${index.root} is not kept any more`, {
        phase: 'apply',
        fix: 'ask for a newer model',
      });
    if (!verifyChunk(index.leaves, i, chunk))
      throw new StarlingError('DATA_CORRUPT', `chunk ${i} of the model ${index.root} on disk has rotted`, {
        field: index.root,
        fix: 'restart the daemon: it makes the model again; check the disk if this repeats',
      });
    yield float32Of(chunk);
  }
}

export async function* bytesOfParts(model: Model): AsyncGenerator<Uint8Array> {
  for await (const part of partsOf(model)) yield bytesOf(part);
}

export async function wholeOf(model: Model): Promise<Float32Array> {
  if (model instanceof Float32Array) return model;
  const whole = new Float32Array(model.index.sizeBytes / Float32Array.BYTES_PER_ELEMENT);
  let at = 0;
  for await (const part of partsOf(model)) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** What it hashes to now. */
export async function modelRootOf(model: Model): Promise<ContentRoot> {
  const hasher = new ContentHasher();
  for await (const part of bytesOfParts(model)) hasher.update(part);
  return hasher.finish().root;
}
