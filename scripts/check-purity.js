#!/usr/bin/env node
/**
 * The pure rooms have no clock, no randomness, no process and no locale; those come in as arguments. Import rules cannot
 * see globals, so this looks for their names in the code (comments and quoted strings aside). Exits 1 and names each place.
 */
import { globSync, readFileSync } from 'node:fs';

const PURE_ROOMS = ['spec', 'crypto', 'wire', 'ledger', 'state', 'consensus', 'aggregation'];
/** Rooms whose doubles every node must compute to the same bit: IEEE 754 fixes + - * / (and 2 ** n), engines differ in the rest. */
const EXACT_ROOMS = ['state', 'aggregation'];

/** @type {readonly (readonly [RegExp, string])[]} */
const IMPURE = [
  [/\bDate\b/, 'a clock'],
  [/\bperformance\b/, 'a clock'],
  [/\b(setTimeout|setInterval|setImmediate|queueMicrotask|nextTick)\b/, 'a timer'],
  [/\bMath\.random\b/, 'randomness'],
  [
    /\b(randomBytes|randomFill|randomFillSync|randomInt|randomUUID|getRandomValues|generateKeyPair|generateKeyPairSync|generateKeySync|randomSecretKey)\b/,
    'randomness',
  ],
  [/\bkeygen\(\s*\)/, 'randomness'],
  [/(?<![.\w])process\s*(\.|\?\.|\[)|=\s*process\b/, 'the process'],
  [/\b(fetch|WebSocket|XMLHttpRequest)\s*\(/, 'the network'],
  [/\bnavigator\b/, 'the machine'],
  [/\b(localeCompare|toLocale\w+|Intl)\b/, 'the locale'],
];

/** @type {readonly (readonly [RegExp, string])[]} */
const INEXACT = [
  [
    /\bMath\.(exp|expm1|log|log10|log1p|log2|pow|cbrt|hypot|sin|cos|tan|asin|acos|atan|atan2|sinh|cosh|tanh|asinh|acosh|atanh)\b/,
    'an operation that engines round differently',
  ],
  [/(?<!\b2\s*)\*\*/, 'an operation that engines round differently'],
];

/** Comments and quoted strings become spaces, line ends stay; a template stays, since it can hold code. */
const TOKENS = /\/\*[\s\S]*?\*\/|\/\/.*|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\[\s\S]|[^`\\])*`/g;

/** @param {string} source */
const codeOf = (source) => source.replaceAll(TOKENS, (token) => (token.startsWith('`') ? token : token.replaceAll(/[^\n]/g, ' ')));

/**
 * @param {string} source
 * @param {boolean} exact whether rounding matters too.
 * @returns {{ line: number, text: string, what: string }[]}
 */
export function findImpurities(source, exact) {
  const rules = exact ? [...IMPURE, ...INEXACT] : IMPURE;
  const lines = source.split('\n');
  return codeOf(source)
    .split('\n')
    .flatMap((code, index) =>
      rules.filter(([pattern]) => pattern.test(code)).map(([, what]) => ({ line: index + 1, text: (lines[index] ?? '').trim(), what })),
    );
}

/**
 * @param {string} root the repository's folder.
 * @returns {string[]} `file:line: what it reaches: the line`, in file order.
 */
export function checkPurity(root) {
  return globSync(`src/{${PURE_ROOMS.join(',')}}/**/*.ts`, { cwd: root })
    .sort()
    .flatMap((file) => {
      const exact = EXACT_ROOMS.some((room) => file.startsWith(`src/${room}/`));
      const found = findImpurities(readFileSync(`${root}/${file}`, 'utf8'), exact);
      return found.map(({ line, text, what }) => `${file}:${line}: a pure room reaches ${what}: ${text}`);
    });
}

if (import.meta.main) {
  const problems = checkPurity(process.cwd());
  for (const problem of problems) console.error(problem);
  process.exitCode = problems.length > 0 ? 1 : 0;
}
