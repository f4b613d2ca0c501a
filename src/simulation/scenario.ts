/** What a simulated run is told: a TOML file, or the same with every fault at its own moment. */
import { stringify } from 'smol-toml';
import { z } from 'zod';
import { validate } from '../node/configKeys.ts';
import { SCHEDULES, StarlingError } from '../spec/index.ts';

/** Ways in which a node can be dishonest; `byzantine/` says what each does. */
export const LIAR_KINDS = [
  'equivocating-voter',
  'equivocating-author',
  'silent',
  'withholding',
  'lying-sync',
  'stale-proposer',
  'certainty-liar',
] as const;
export type LiarKind = (typeof LIAR_KINDS)[number];

/** Nodes and epochs of one run: what a machine simulates in minutes. */
const NODES_MAX = 200;
const EPOCHS_MAX = 10_000;
/** Ms of virtual time, an hour: nothing in a scenario is longer. */
const LONGEST_MS = 3_600_000;

const Share = z.number().min(0).max(1);
/** A link that loses nine in ten never delivers a request in time. */
const Loss = z.number().min(0).max(0.9);
const Ms = z.number().min(0).max(LONGEST_MS);
const Count = z.int().min(0).max(1_000);
const Index = z
  .int()
  .min(0)
  .max(NODES_MAX - 1);
const Range = z.tuple([Ms, Ms]).refine(([least, most]) => least <= most, 'expected [least, most]');

const Link = z
  .strictObject({
    loss: Loss.default(0),
    delay: z.enum(['uniform', 'exponential']).default('uniform'),
    min_delay_ms: Ms.default(1),
    max_delay_ms: Ms.default(5),
    duplication: Share.default(0),
    reordering: Share.default(0),
  })
  .refine(({ min_delay_ms: least, max_delay_ms: most }) => least <= most, 'min_delay_ms is above max_delay_ms');

/** Drawn from the seed. */
const Faults = z.strictObject({
  /** Ms after the swarm has formed in which they begin. */
  within_ms: Ms.default(20_000),
  partitions: Count.default(0),
  partition_ms: Range.default([2_000, 8_000]),
  /** A process dies, every second one in the middle of a write. */
  crashes: Count.default(0),
  down_ms: Range.default([500, 8_000]),
  /** A disk is lost with its machine, and the node returns with an empty one. */
  wipes: Count.default(0),
  /** Nodes that are not there at the beginning. */
  joins: Count.default(0),
  /** Dishonest nodes: a number, or "f" for as many as the quorum bears beside the lost disks. */
  byzantine: z.union([Count, z.literal('f')]).default(0),
  kinds: z
    .array(z.enum(LIAR_KINDS))
    .min(1)
    .default([...LIAR_KINDS]),
});

const Event = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('partition'), at_ms: Ms, for_ms: Ms, groups: z.array(z.array(Index)).min(1) }),
  z.strictObject({ kind: z.literal('crash'), at_ms: Ms, for_ms: Ms, node: Index, in_write: z.int().min(0).max(1_000).default(0) }),
  z.strictObject({ kind: z.literal('wipe'), at_ms: Ms, for_ms: Ms, node: Index }),
  z.strictObject({ kind: z.literal('join'), at_ms: Ms, node: Index }),
]);

const Schema = z.strictObject({
  name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,63}$/, 'expected lower-case letters, digits and dashes'),
  /** What a replay runs with unless it is told otherwise. */
  seed: z
    .int()
    .min(0)
    .max(2 ** 32 - 1)
    .default(1),
  nodes: z.int().min(1).max(NODES_MAX).default(4),
  /** Epochs that every honest node must finalise. */
  epochs: z.int().min(1).max(EPOCHS_MAX).default(10),
  /** Ms of virtual time after the last fault within which every honest node finalises two epochs more. */
  liveness_ms: Ms.default(60_000),
  train_ms: Range.default([20, 200]),
  /** As in a swarm's configuration: how sums are made. */
  schedule: z.enum(SCHEDULES).default('auto'),
  /** What nodes without a quorum do; absent: they decide. */
  without_quorum: z.literal('diffuse').optional(),
  link: Link.prefault({}),
  clocks: z
    .strictObject({
      /** Largest share by which a clock runs fast or slow. */
      drift: z.number().min(0).max(0.5).default(0),
      /** Largest error of a date. */
      wall_ms: Ms.default(0),
    })
    .prefault({}),
  disk: z.strictObject({ write_ms: Ms.default(0) }).prefault({}),
  faults: Faults.prefault({}),
  events: z.array(Event).max(10_000).default([]),
  byzantine: z
    .array(z.strictObject({ node: Index, kind: z.enum(LIAR_KINDS) }))
    .max(NODES_MAX)
    .default([]),
  /** Nodes whose disk says that it has kept what it has not: no protocol survives it. It tests the checks themselves. */
  forgetful: z.array(Index).max(NODES_MAX).default([]),
});

export type Scenario = z.output<typeof Schema>;
export type FaultEvent = z.output<typeof Event>;

/** Throws BAD_CONFIG naming source and key. */
export function parseScenario(table: unknown, source: string): Scenario {
  const scenario = validate(Schema, table, source);
  const named = [
    ...scenario.events.flatMap((e) => (e.kind === 'partition' ? e.groups.flat() : [e.node])),
    ...scenario.byzantine.map((liar) => liar.node),
    ...scenario.forgetful,
  ];
  const unknown = named.find((node) => node >= scenario.nodes);
  if (unknown !== undefined)
    throw new StarlingError('BAD_CONFIG', `${source}: node ${unknown} of ${scenario.nodes}`, {
      field: 'nodes',
      source,
      fix: `nodes are counted from 0: raise nodes above ${unknown}, or name another one`,
    });
  return scenario;
}

/** The TOML that `parseScenario` reads back as the same scenario. */
export const formatScenario = (scenario: Scenario): string => `${stringify(scenario)}\n`;
