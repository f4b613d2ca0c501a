import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'smol-toml';
import { z } from 'zod';
import { type Invite, NODE_CLASSES, type NodeClass, StarlingError } from '../spec/index.ts';
import { decodeInviteToken } from '../wire/invite.ts';
import { checkKeys, validate } from './configKeys.ts';

/** How one daemon runs. Layers: defaults < <data>/config.toml < STARLING_* < flags. */
export interface DaemonConfig {
  /** Absolute path of the data folder. */
  readonly data: string;
  /** Multiaddrs of nodes to dial first. */
  readonly bootstrap: readonly string[];
  /** Refuse any other swarm than this id. */
  readonly swarm?: string;
  /** Multiaddrs to listen on. */
  readonly listen: readonly string[];
  /** 1,000 bits a second that leave this node at most, on average, over all peers; undefined: no bound. */
  readonly uploadKbit?: number;
  /** Port of the API on 127.0.0.1; 0 picks a free one. */
  readonly apiPort: number;
  readonly class: NodeClass;
  /** What a voter handed to this node: its join carries it. */
  readonly invite?: Invite;
  readonly compute: { readonly backend: 'auto' | 'ts' | 'webasm' | 'webgpu' };
  readonly log: { readonly level: 'debug' | 'info' | 'warn' | 'error' | 'silent' };
}

/** What a layer may say; a layer says only what it changes. Lists may come as one comma-separated text (environment). */
export type DaemonLayer = Partial<Record<DaemonKey, unknown>>;
export type DaemonKey =
  | 'bootstrap'
  | 'swarm'
  | 'listen'
  | 'upload_kbit'
  | 'api_port'
  | 'class'
  | 'invite'
  | 'compute.backend'
  | 'log.level';

const DEFAULT_LISTEN: readonly string[] = ['/ip4/0.0.0.0/tcp/7740', '/ip4/0.0.0.0/udp/7740/quic-v1'];
const DEFAULT_API_PORT = 7747;
const PORT_MAX = 65_535;

const List = z.preprocess(
  (value) =>
    typeof value === 'string'
      ? value
          .split(',')
          .map((part) => part.trim())
          .filter(Boolean)
      : value,
  z.array(z.string().startsWith('/', 'expected a multiaddr, e.g. /ip4/192.0.2.1/tcp/7740')),
);
const Port = z.preprocess(
  (value) => (typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value),
  z.int().min(0).max(PORT_MAX),
);

/** Below this a chunk of a model takes longer than members wait for one. */
const UPLOAD_MIN_KBIT = 1_000;
const Kbit = z.preprocess(
  (value) => (typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value),
  z.int().min(UPLOAD_MIN_KBIT, `expected ${UPLOAD_MIN_KBIT} or more: 1,000 bits a second each`),
);

/** Keys as the TOML file spells them, one level flattened with a dot. */
const DaemonSchema = z.strictObject({
  bootstrap: List.default([]),
  swarm: z
    .string()
    .regex(/^[0-9a-f]{64}$/, 'expected a swarm id: 64 lower-case hexadecimal digits')
    .optional(),
  listen: List.default([...DEFAULT_LISTEN]),
  upload_kbit: Kbit.optional(),
  api_port: Port.default(DEFAULT_API_PORT),
  class: z.enum(NODE_CLASSES).default('core'),
  invite: z.string().min(1).optional(),
  'compute.backend': z.enum(['auto', 'ts', 'webasm', 'webgpu']).default('auto'),
  'log.level': z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info'),
});
const DAEMON_KEYS = Object.keys(DaemonSchema.shape) as DaemonKey[];

/** STARLING_API_PORT for api_port, STARLING_COMPUTE_BACKEND for compute.backend. */
const environmentName = (key: DaemonKey) => `STARLING_${key.toUpperCase().replace('.', '_')}`;
/** Variables of the command line and its launcher; no settings of a daemon. */
const OTHER_VARIABLES: readonly string[] = ['STARLING_DATA', 'STARLING_API', 'STARLING_TOKEN'];

/**
 * The configuration of the daemon of `data`. `flags` are the command line's, in the file's spelling.
 * Throws BAD_CONFIG naming the layer, the key and, for an unknown one, the nearest valid key; BAD_INVITE for a token
 * that is none.
 */
export function loadDaemonConfig(data: string, flags: DaemonLayer = {}, environment: NodeJS.ProcessEnv = process.env): DaemonConfig {
  const path = join(data, 'config.toml');
  const layers: readonly [string, Record<string, unknown>][] = [
    [path, flatten(readToml(path, true))],
    ['environment', fromEnvironment(environment)],
    ['command line', withoutUndefined(flags)],
  ];
  for (const [source, layer] of layers) {
    checkKeys(layer, DAEMON_KEYS, source);
    validate(DaemonSchema.partial(), layer, source);
  }
  const merged = validate(DaemonSchema, Object.assign({}, ...layers.map(([, layer]) => layer)), 'configuration');
  return {
    data,
    bootstrap: merged.bootstrap,
    ...(merged.swarm === undefined ? {} : { swarm: merged.swarm }),
    listen: merged.listen,
    ...(merged.upload_kbit === undefined ? {} : { uploadKbit: merged.upload_kbit }),
    apiPort: merged.api_port,
    class: merged.class,
    ...(merged.invite === undefined ? {} : { invite: decodeInviteToken(merged.invite) }),
    compute: { backend: merged['compute.backend'] },
    log: { level: merged['log.level'] },
  };
}

/** A TOML file as a table; an absent one is empty where `optional`. Throws BAD_CONFIG. */
export function readToml(path: string, optional = false): Record<string, unknown> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    if (optional && (cause as NodeJS.ErrnoException).code === 'ENOENT') return {};
    throw new StarlingError(
      'BAD_CONFIG',
      `${path} cannot be read: ${(cause as Error).message}`,
      { field: path, fix: 'check the path' },
      { cause },
    );
  }
  try {
    return parse(text);
  } catch (cause) {
    throw new StarlingError(
      'BAD_CONFIG',
      `${path} is not TOML: ${(cause as Error).message}`,
      { field: path, fix: 'see https://toml.io' },
      { cause },
    );
  }
}

function fromEnvironment(environment: NodeJS.ProcessEnv): Record<string, unknown> {
  const set = Object.entries(environment).filter(([name]) => name.startsWith('STARLING_') && !OTHER_VARIABLES.includes(name));
  checkKeys(Object.fromEntries(set), [...DAEMON_KEYS.map(environmentName), ...OTHER_VARIABLES], 'environment');
  return withoutUndefined(Object.fromEntries(DAEMON_KEYS.map((key) => [key, environment[environmentName(key)]])));
}

/** { compute: { backend } } becomes { 'compute.backend' }: one flat list of keys to check and to merge. */
const flatten = (table: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(table).flatMap(([key, value]): [string, unknown][] =>
      typeof value === 'object' && value !== null && !Array.isArray(value)
        ? Object.entries(value).map(([inner, v]) => [`${key}.${inner}`, v])
        : [[key, value]],
    ),
  );

const withoutUndefined = (layer: object): Record<string, unknown> =>
  Object.fromEntries(Object.entries(layer).filter(([, value]) => value !== undefined));
