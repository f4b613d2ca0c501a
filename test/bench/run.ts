/**
 * `node test/bench/run.ts [NAME...] [--json]` runs the named benches, all by default, one after another. A table goes
 * to stdout, or with --json one array of rows. Exits 2 for a name that is no bench.
 */
import { parseArgs } from 'node:util';
import { BENCHES } from './index.ts';
import type { BenchRow } from './row.ts';

const { values, positionals } = parseArgs({ allowPositionals: true, options: { json: { type: 'boolean', default: false } } });
const unknown = positionals.filter((name) => !Object.hasOwn(BENCHES, name));
if (unknown.length > 0) {
  console.error(`no such bench: ${unknown.join(', ')}; there are: ${Object.keys(BENCHES).join(', ')}`);
  process.exit(2);
}

// So that what runs 'exit' handlers (temporary folders) does; children end with their channel to this process.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

const rows: BenchRow[] = [];
for (const [name, load] of Object.entries(BENCHES)) {
  if (positionals.length > 0 && !positionals.includes(name)) continue;
  if (!values.json) console.error(`${name} ...`);
  rows.push(...(await (await load()).rows()));
}
console.log(values.json ? JSON.stringify(rows, null, 2) : table(rows));

/** The rows in aligned columns. */
function table(all: readonly BenchRow[]): string {
  const cells = [
    ['bench', 'case', 'value', 'unit', 'baseline', 'ratio', 'n'],
    ...all.map((row) => [row.bench, row.case, row.value.toPrecision(4), row.unit, row.baseline, row.ratio.toFixed(2), String(row.n)]),
  ];
  const widths = (cells[0] as string[]).map((_, column) => Math.max(...cells.map((line) => (line[column] as string).length)));
  return cells
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column] as number))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
