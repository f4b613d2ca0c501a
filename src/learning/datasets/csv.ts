import { StarlingError } from '../../spec/index.ts';
import type { Table } from './dataset.ts';

/** Values a line: wider than any image the built-in learner is meant for. */
const MAX_COLUMNS = 65_536;
const MAX_LABEL = 65_535;

/**
 * Comma-separated numbers, one sample a line, its class (an integer from 0) last; a first line that does not
 * start with a number is a header. Throws BAD_DATASET naming file and line.
 */
export function parseCsv(file: string, bytes: Uint8Array): Table {
  const lines = new TextDecoder().decode(bytes).split(/\r?\n/);
  while (lines.at(-1)?.trim() === '') lines.pop();
  const first = lines.findIndex((line, i) => i > 0 || isNumber(line.split(',')[0] ?? ''));
  const n = first < 0 ? 0 : lines.length - first;
  if (n === 0) throw bad(file, lines.length, 'there are no samples', 'give one line a sample: its values, then its class');
  const columns = (lines[first] as string).split(',').length;
  if (columns < 2 || columns > MAX_COLUMNS)
    throw bad(file, first + 1, `there are ${columns} columns`, `give 2 to ${MAX_COLUMNS} columns separated by commas, the class last`);
  const table = { n, features: columns - 1, x: new Float32Array(n * (columns - 1)), y: new Uint16Array(n) };
  for (let row = 0; row < n; row++) parseLine(table, row, lines[first + row] as string, file, first + row + 1);
  return table;
}

function parseLine(table: Table, row: number, text: string, file: string, line: number): void {
  const fields = text.split(',');
  const { features } = table;
  if (fields.length !== features + 1)
    throw bad(
      file,
      line,
      `${fields.length} columns where the first sample has ${features + 1}`,
      'give every line the same number of columns',
    );
  for (let k = 0; k < features; k++) {
    const field = fields[k] as string;
    const value = Math.fround(Number(field));
    if (!isNumber(field) || !Number.isFinite(value))
      throw bad(file, line, `column ${k + 1} is ${quote(field)}, not a finite number`, 'correct the value');
    table.x[row * features + k] = value;
  }
  const field = fields[features] as string;
  const label = Number(field);
  if (!isNumber(field) || !Number.isInteger(label) || label < 0 || label > MAX_LABEL)
    throw bad(file, line, `the class is ${quote(field)}`, `give the class last, as an integer 0..${MAX_LABEL}`);
  table.y[row] = label;
}

const isNumber = (field: string): boolean => field.trim() !== '' && !Number.isNaN(Number(field));
const quote = (field: string): string => JSON.stringify(field.slice(0, 40));
const bad = (file: string, line: number, message: string, fix: string): StarlingError =>
  new StarlingError('BAD_DATASET', `${file}, line ${line}: ${message}`, { field: file, line, fix });
