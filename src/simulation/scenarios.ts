import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readToml } from '../node/config.ts';
import { asStarlingError, StarlingError } from '../spec/index.ts';
import { parseScenario, type Scenario } from './scenario.ts';

/** configs/scenarios of this package. */
const FOLDER = fileURLToPath(new URL('../../configs/scenarios', import.meta.url));

export const scenarioNames = (): string[] =>
  readdirSync(FOLDER)
    .filter((file) => file.endsWith('.toml'))
    .map((file) => file.slice(0, -'.toml'.length))
    .sort();

/** A scenario of this package by its name, or a TOML file. Throws BAD_USAGE naming file and key. */
export function loadScenario(name: string, changes: { readonly nodes?: number; readonly epochs?: number } = {}): Scenario {
  const path = scenarioNames().includes(name) ? join(FOLDER, `${name}.toml`) : name;
  if (!existsSync(path))
    throw new StarlingError('BAD_USAGE', `there is no scenario ${name}`, {
      field: 'scenario',
      fix: `name one of ${scenarioNames().join(', ')}, or a TOML file`,
    });
  try {
    return parseScenario({ ...readToml(path), ...changes }, path);
  } catch (error) {
    // A scenario is an argument: what is wrong with it is wrong usage, and nothing that a run has found.
    const { message, facts } = asStarlingError(error);
    throw new StarlingError('BAD_USAGE', message, facts, { cause: error });
  }
}
