import type { z } from 'zod';
import { StarlingError } from '../spec/index.ts';

/** Throws BAD_CONFIG for a key that is not in `known`, naming the nearest one that is. */
export function checkKeys(layer: object, known: readonly string[], source: string): void {
  for (const key of Object.keys(layer)) {
    if (known.includes(key)) continue;
    throw new StarlingError('BAD_CONFIG', `${source}: unknown key ${key}`, {
      field: key,
      source,
      fix: `did you mean ${nearest(key, known)}? Valid keys: ${known.join(', ')}`,
    });
  }
}

/** The parsed value with its defaults. Throws BAD_CONFIG naming source and key. */
export function validate<S extends z.ZodType>(schema: S, value: unknown, source: string): z.output<S> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const field = issue?.path.join('.') ?? '';
  throw new StarlingError('BAD_CONFIG', `${source}: ${field}: ${issue?.message}`, {
    field,
    source,
    fix: `correct ${field} in the ${source}`,
  });
}

function nearest(key: string, known: readonly string[]): string {
  const ranked = known.map((name) => ({ name, distance: editDistance(key.toLowerCase(), name.toLowerCase()) }));
  return ranked.sort((a, b) => a.distance - b.distance)[0]?.name ?? '';
}

/** Levenshtein distance: insertions, deletions and substitutions. */
export function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitute = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min((row[j] as number) + 1, (next[j - 1] as number) + 1, substitute));
    }
    row = next;
  }
  return row[b.length] as number;
}
