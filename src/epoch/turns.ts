/** Long work lets everything else run between its parts: no turn of the event loop takes 50 ms. */
import type { TensorSpan } from '../aggregation/index.ts';
import type { Clock } from './ports.ts';

/** Lets everything else run that waits; resolves when it has. */
export type Turn = () => Promise<void>;

/** Elements that a loop handles in one turn: the slowest, the norm of integers, takes 20 ms for them. */
export const TURN_ELEMENTS = 2 ** 19;

/** Work that gives no turns: it is small, or nothing else runs beside it. */
export const noTurn: Turn = () => Promise.resolve();

export const turn = (clock: Pick<Clock, 'after'>): Promise<void> => pause(clock, 0);

export const pause = (clock: Pick<Clock, 'after'>, ms: number): Promise<void> => new Promise((resolve) => void clock.after(ms, resolve));

/** The parts of something long, with a turn before each but the first. */
export async function* inTurns<T>(parts: Iterable<T>, turn: Turn): AsyncGenerator<T> {
  let isFirst = true;
  for (const part of parts) {
    if (!isFirst) await turn();
    isFirst = false;
    yield part;
  }
}

/** Tensors in parts, small ones together and large ones piecewise, so many elements in a turn. */
export async function* spansInTurns(
  spans: readonly TensorSpan[],
  turn: Turn,
): AsyncGenerator<{ readonly t: number; readonly start: number; readonly end: number }> {
  let since = 0;
  for (const [t, span] of spans.entries())
    for (let start = span.start; start < span.end; start += TURN_ELEMENTS) {
      const end = Math.min(start + TURN_ELEMENTS, span.end);
      if (since + end - start > TURN_ELEMENTS) {
        await turn();
        since = 0;
      }
      since += end - start;
      yield { t, start, end };
    }
}
