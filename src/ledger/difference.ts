import type { EntryId, SignedEntry } from '../spec/index.ts';
import type { Branch } from './chains.ts';
import { isWhole, type LedgerGraph, type Placed } from './graph.ts';

/** A place in the order in which sync sends: parents have a lower lam, so they come first. */
export interface Cursor {
  readonly lam: number;
  readonly id: EntryId;
}

export interface Page {
  readonly entries: readonly SignedEntry[];
  /** Whether entries after these were left for the next page. */
  readonly more: boolean;
}

/** Bytes of CBOR around the parts of an entry in a page. */
const ENTRY_OVERHEAD_BYTES = 16;

/**
 * Entries on the chains that end in `want` and not on those that end in `have`, in the order (lam, id), after
 * `after`: as many as fit `maxBytes`, one at least, and none from behind the base. Costs O(branches) plus O(log branches) an entry sent, whatever
 * the length of the chains.
 */
export function differencePage(
  graph: LedgerGraph,
  want: Iterable<EntryId>,
  have: Iterable<EntryId>,
  after: Cursor | undefined,
  maxBytes: number,
): Page {
  const heap = runsBetween(graph, want, have)
    .map((run) => startAfter(graph, run, after))
    .filter((run) => run.next < run.end);
  const head = (run: Run): Placed => graph.place(run.branch.ids[run.next] as EntryId) as Placed;
  const precedes = (a: Run, b: Run): boolean => compareCursor(cursorOf(head(a)), cursorOf(head(b))) < 0;
  for (let i = heap.length >> 1; i-- > 0; ) sink(heap, i, precedes);

  const entries: SignedEntry[] = [];
  let bytes = 0;
  for (let run = heap[0]; run !== undefined; run = heap[0]) {
    const entry = head(run);
    // Behind the base there is nothing to send: whoever lacks it takes the archive.
    if (isWhole(entry)) {
      bytes += entry.coreBytes.byteLength + entry.signature.byteLength + (entry.composite?.byteLength ?? 0) + ENTRY_OVERHEAD_BYTES;
      if (bytes > maxBytes && entries.length > 0) return { entries, more: true };
      entries.push(entry);
    }
    run.next += 1;
    if (run.next === run.end) {
      const last = heap.pop() as Run;
      if (heap.length === 0) break;
      if (last !== run) heap[0] = last;
    }
    sink(heap, 0, precedes);
  }
  return { entries, more: false };
}

export const cursorOf = (entry: Placed): Cursor => ({ lam: entry.core.lam, id: entry.id });
export const compareCursor = (a: Cursor, b: Cursor): number => a.lam - b.lam || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);

/** Entries `next` to `end` (exclusive, indexes into the branch's ids) of one branch. */
interface Run {
  readonly branch: Branch;
  next: number;
  readonly end: number;
}

function runsBetween(graph: LedgerGraph, want: Iterable<EntryId>, have: Iterable<EntryId>): Run[] {
  const wanted = reach(graph, want);
  const held = reach(graph, have);
  return [...wanted].map(([branch, end]) => ({ branch, next: held.get(branch) ?? 0, end }));
}

/** How many entries of each branch stand on the chains that end in `ids`. */
function reach(graph: LedgerGraph, ids: Iterable<EntryId>): Map<Branch, number> {
  const counts = new Map<Branch, number>();
  for (const id of ids) {
    let end = (graph.place(id)?.core.seq ?? -1) + 1;
    for (let branch = graph.branchOf(id); branch !== undefined; branch = branch.parent) {
      const count = end - branch.fromSeq;
      if ((counts.get(branch) ?? 0) >= count) break;
      counts.set(branch, count);
      end = branch.fromSeq;
    }
  }
  return counts;
}

/** lam grows along a chain, so the first entry after the cursor is found by halving. */
function startAfter(graph: LedgerGraph, run: Run, after: Cursor | undefined): Run {
  if (after === undefined) return run;
  let low = run.next;
  let high = run.end;
  while (low < high) {
    const middle = (low + high) >> 1;
    const entry = graph.place(run.branch.ids[middle] as EntryId) as Placed;
    if (compareCursor(cursorOf(entry), after) <= 0) low = middle + 1;
    else high = middle;
  }
  return { ...run, next: low };
}

/** Restores a binary heap below index `i`. */
function sink<T>(heap: T[], i: number, precedes: (a: T, b: T) => boolean): void {
  for (let at = i; ; ) {
    let least = at;
    for (const child of [2 * at + 1, 2 * at + 2]) {
      if (child < heap.length && precedes(heap[child] as T, heap[least] as T)) least = child;
    }
    if (least === at) return;
    [heap[at], heap[least]] = [heap[least] as T, heap[at] as T];
    at = least;
  }
}
