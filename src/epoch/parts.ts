/** Content as far as it has come, and of whom the next chunk of it is asked. */
import { type ContentIndex, chunkAt, chunkCount } from '../crypto/index.ts';
import type { ContentRoot, PeerId } from '../spec/index.ts';
import type { HeldChunks } from '../wire/messages.ts';

export interface Parts {
  readonly root: ContentRoot;
  readonly content: Uint8Array;
  /** Behind `root`, as the first holder gave them; undefined before. */
  leaves: readonly Uint8Array[] | undefined;
  /** Chunks that are not in `content`. */
  readonly missing: Set<number>;
}

/** Nothing of it yet. Takes `sizeBytes` of memory. */
export const partsOf = (root: ContentRoot, sizeBytes: number): Parts => ({
  root,
  content: new Uint8Array(sizeBytes),
  leaves: undefined,
  missing: new Set(Array(chunkCount(sizeBytes)).keys()),
});

/** Parts as others may have them: once their leaves are known. */
export interface Partial {
  readonly index: ContentIndex;
  readonly held: ReadonlySet<number>;
  chunk(i: number): Uint8Array | undefined;
}

export function partialOf({ root, content, leaves, missing }: Parts): Partial | undefined {
  if (leaves === undefined) return undefined;
  return {
    index: { root, sizeBytes: content.byteLength, leaves },
    get held() {
      return new Set([...leaves.keys()].filter((i) => !missing.has(i)));
    },
    chunk: (i) => (missing.has(i) || i >= leaves.length ? undefined : chunkAt(content, i)),
  };
}

/** Somebody who is asked for chunks. */
export interface Holder {
  readonly peer: PeerId;
  /** What it has, as it said last; undefined before. */
  has: HeldChunks | undefined;
  /** It is being asked what it has. */
  isAsked: boolean;
  /** Chunks that were missing here when it was asked that. */
  missingThen: number;
  /** Chunks it owes. */
  readonly owes: Set<number>;
  /** Number of the latest request that it answered with a chunk, 0 before the first. */
  answered: number;
  /** When that was, monotonic ms. */
  sinceMs: number;
}

/** A chunk that is asked for. */
export interface Ask {
  readonly of: Set<Holder>;
  /** Number of the latest request for it. */
  number: number;
}

/** How a pull stands when the next chunk is chosen. */
export interface Standing {
  /** Chunks that nobody is asked for. */
  readonly open: ReadonlySet<number>;
  readonly asked: ReadonlyMap<number, Ask>;
  readonly holders: readonly Holder[];
  /** [0, 1). */
  readonly uniform: () => number;
}

/** Holders that one chunk is asked of at once: whoever is late with it, and whoever is not. */
const ASKED_OF = 2;

export const hasChunk = ({ has }: Holder, chunk: number): boolean => has === 'all' || has?.has(chunk) === true;

/**
 * What `holder` is asked for next: of the open chunks that it has, the one that fewest have, so that whoever has everything uploads
 * what nobody else can. Or else one that is late: asked of another before something that this holder has answered already, or, when
 * nothing is open and this holder has nothing left to do, still on its way.
 */
export function chooseChunk(holder: Holder, { open, asked, holders, uniform }: Standing): number | undefined {
  const chunk = rarest(
    [...open].filter((one) => hasChunk(holder, one)),
    holders,
    uniform,
  );
  if (chunk !== undefined || holder.answered === 0) return chunk;
  const isIdle = open.size === 0 && holder.owes.size === 0;
  for (const [late, ask] of asked)
    if (ask.of.size < ASKED_OF && !ask.of.has(holder) && hasChunk(holder, late) && (isIdle || ask.number < holder.answered)) return late;
  return undefined;
}

function rarest(chunks: readonly number[], holders: readonly Holder[], uniform: () => number): number | undefined {
  let fewest = Number.POSITIVE_INFINITY;
  let alike: number[] = [];
  for (const chunk of chunks) {
    const count = holders.filter((holder) => hasChunk(holder, chunk)).length;
    if (count < fewest) alike = [];
    fewest = Math.min(fewest, count);
    if (count === fewest) alike.push(chunk);
  }
  return alike[Math.floor(uniform() * alike.length)];
}
