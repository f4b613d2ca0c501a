import type { Writable } from 'node:stream';
import type { StarlingError } from '../spec/errors.ts';

/** Where a command's words go: people's text to stdout, unless --json claims stdout for its one document. */
export interface Output {
  /** A line (or several) for people. */
  text(line: string): void;
  /**
   * The result: under --json the one document on stdout, otherwise `human` as text. Call it once; a second
   * call under --json is a bug and throws.
   */
  result(document: unknown, human?: () => string): void;
  /** code, message, peer, phase, fix on stderr; under --json also `{error}` on stdout when nothing was printed there. */
  error(error: StarlingError): void;
  /** True when people's text goes to a terminal (a live table may redraw). */
  readonly interactive: boolean;
}

export interface Sinks {
  readonly stdout: Writable & { isTTY?: boolean };
  readonly stderr: Writable & { isTTY?: boolean };
}

export function createOutput(json: () => boolean, sinks: Sinks): Output {
  let printed = false;
  const human = () => (json() ? sinks.stderr : sinks.stdout);
  const document = (value: unknown) => {
    if (printed) throw new Error('a second JSON document on stdout');
    printed = true;
    sinks.stdout.write(`${JSON.stringify(value ?? null, null, sinks.stdout.isTTY === true ? 2 : 0)}\n`);
  };
  return {
    text: (line) => void human().write(`${line}\n`),
    result(value, words) {
      if (json()) document(value);
      else if (words !== undefined) sinks.stdout.write(`${words()}\n`);
    },
    error(error) {
      sinks.stderr.write(`${formatError(error)}\n`);
      if (json() && !printed) document({ error: error.toJSON() });
    },
    get interactive() {
      return human().isTTY === true;
    },
  };
}

/** One line for what happened, then one for each fact that helps: where, who, what to do. */
function formatError(error: StarlingError): string {
  const { fix, field, phase, peer, ...rest } = error.facts;
  const facts = { field, phase, peer, ...rest };
  const lines = Object.entries(facts)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `  ${name}: ${value}`);
  if (fix !== undefined) lines.push(`  fix: ${fix}`);
  return [`error ${error.code}: ${error.message}`, ...lines].join('\n');
}
