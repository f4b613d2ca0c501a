import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** What `starling demo` is asked to do. */
export interface DemoPlan {
  readonly nodes: number;
  readonly epochs: number;
  readonly dataset: string;
  readonly alpha: number;
  readonly seed: number;
  readonly transport: 'tcp' | 'quic';
  readonly keep: boolean;
}

/** Values a sample up to which 32 hidden units are plenty (digits: 64); larger ones get 64 (MNIST: 784). */
const SMALL_SAMPLE = 100;
const HIDDEN_SMALL = 32;
const HIDDEN_LARGE = 64;

export const layersFor = (features: number, classes: number): number[] => [
  features,
  features <= SMALL_SAMPLE ? HIDDEN_SMALL : HIDDEN_LARGE,
  classes,
];

/**
 * The swarm's TOML file. An epoch closes as soon as every attached trainer has contributed, so its deadlines only
 * matter for a trainer that is slow: they leave room for a machine that is busy with N of them.
 */
export const swarmToml = (name: string, layers: readonly number[], seed: number): string =>
  [
    `name = ${JSON.stringify(name.slice(0, 64))}`,
    'min_deadline_ms = 10_000',
    'epoch_deadline_ms = 30_000',
    // All on this machine: each of them votes.
    'voting = "open"',
    '[model]',
    'kind = "mlp"',
    `layers = [${layers.join(', ')}]`,
    `seed = ${seed}`,
    '',
  ].join('\n');

/** scripts/starling.js as this package ships it: src/cli/demo and dist/cli/demo lie equally deep. */
export const LAUNCHER = fileURLToPath(new URL('../../../scripts/starling.js', import.meta.url));

const LISTEN = { tcp: '/ip4/127.0.0.1/tcp/0', quic: '/ip4/127.0.0.1/udp/0/quic-v1' } as const;

export const dataOf = (folder: string, index: number): string => join(folder, `node${index}`);

/** Command line of daemon `index`; `bootstrap` is the first daemon's address, which the first itself does not need. */
export function daemonArguments(plan: DemoPlan, folder: string, index: number, bootstrap: string | undefined): string[] {
  const joins = bootstrap === undefined ? [] : ['--bootstrap', bootstrap];
  return ['daemon', '--data', dataOf(folder, index), '--api-port', '0', '--listen', LISTEN[plan.transport], ...joins];
}

/** Command line of the trainer of daemon `index`. */
export function trainerArguments(plan: DemoPlan, folder: string, index: number): string[] {
  const learning = [
    '--dataset',
    plan.dataset,
    '--shard',
    `${index}/${plan.nodes}`,
    '--alpha',
    String(plan.alpha),
    '--seed',
    String(plan.seed),
  ];
  const swarm = ['--epochs', String(plan.epochs), '--min-trainers', String(plan.nodes), '--compare-alone'];
  return ['train', '--data', dataOf(folder, index), ...learning, ...swarm];
}
