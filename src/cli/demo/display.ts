import type { Output } from '../output.ts';
import { epochHeader, epochLine, liveTable, type NodeProgress, printableEpochs } from './progress.ts';

/** Ms between redraws: five a second are smooth, and cheap on a slow terminal. */
const REDRAW_MS = 200;
/** ECMA-48: cursor up n lines, then erase to the end of the display. */
const rewind = (lines: number): string => (lines === 0 ? '' : `\x1b[${lines}A\x1b[J`);

/** Shows the nodes: a table redrawn in place on a terminal, one line an epoch in a pipe. */
export class Display {
  readonly #output: Output;
  readonly #nodes: readonly NodeProgress[];
  readonly #nowMs: () => number;
  #drawnLines = 0;
  #drawnMs = Number.NEGATIVE_INFINITY;
  #printedEpoch = 0;

  constructor(output: Output, nodes: readonly NodeProgress[], nowMs: () => number) {
    this.#output = output;
    this.#nodes = nodes;
    this.#nowMs = nowMs;
  }

  /** A line that stays: above the table on a terminal. */
  line(text: string): void {
    this.#output.text(`${rewind(this.#drawnLines)}${text}`);
    this.#drawnLines = 0;
    this.#drawnMs = Number.NEGATIVE_INFINITY;
  }

  /** Shows what has changed; `final` regardless of when it was last drawn. */
  refresh(final = false): void {
    if (this.#output.interactive) this.#redraw(final);
    else this.#printEpochs();
  }

  #redraw(final: boolean): void {
    const now = this.#nowMs();
    if (!final && now - this.#drawnMs < REDRAW_MS) return;
    const text = liveTable(this.#nodes);
    this.#output.text(`${rewind(this.#drawnLines)}${text}`);
    this.#drawnLines = final ? 0 : text.split('\n').length;
    this.#drawnMs = now;
  }

  #printEpochs(): void {
    for (const epoch of printableEpochs(this.#nodes, this.#printedEpoch)) {
      if (this.#printedEpoch === 0) this.#output.text(epochHeader(this.#nodes.length));
      this.#output.text(epochLine(epoch, this.#nodes));
      this.#printedEpoch = epoch;
    }
  }
}
