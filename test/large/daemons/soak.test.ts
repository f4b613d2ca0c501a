import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Random } from '../../../src/learning/index.ts';
import { asStarlingError, type ErrorCode } from '../../../src/spec/index.ts';
import { type Daemon, freePort, Nest, until } from '../../support/daemons.ts';
import { type Footprint, footprint, noisyUpdate, slopeOf } from '../../support/soak.ts';

/** Minutes of kills; half an hour tells of leaks, two minutes of faults. */
const MINUTES = Number(process.env.SOAK_MINUTES ?? 2);
const SEED = Number(process.env.SOAK_SEED ?? 1);
/** How a sum is made (the genesis's `schedule`): what the daemons choose by themselves unless it is named. */
const SCHEDULE = process.env.SOAK_SCHEDULE ?? 'auto';
/** A swarm of eight stands on six: two may be gone at a time. */
const DAEMONS = 8;
const GONE = 2;
/** A million parameters. */
const LAYERS = [1_000, 990, 10];
/** Daemons, the founder among them, that nobody kills: what they hold on to is watched. */
const WATCHED = 2;
const WATCH_EVERY_MS = 2_000;
/** Minutes between lines that tell of a long run. */
const SAY_EVERY_MINUTES = 0.5;
/** Ms between two strokes, at most. */
const STROKE_MS = 10_000;
/** Ms. An epoch completes at least this often. */
const EPOCH_MS = 60_000;
/** MiB of resident memory that no daemon exceeds: some 150 of a daemon, 8 rows and their sealed bytes of three epochs, two models. */
const CEILING_MIB = 600;
/** Minutes until memory is at rest, and how fast it may grow from then on (MiB a minute). */
const SETTLED = 5;
const SLOPE_MIB = 1;
/** Ms between two tries of a trainer whose daemon is gone, or not ready. */
const PAUSE_MS = 100;
/** What a trainer meets when its daemon dies, comes back, or went on without it. */
const PASSING: readonly ErrorCode[] = [
  'DAEMON_DOWN',
  'EPOCH_PAST',
  'EPOCH_FAR',
  'ALREADY_CONTRIBUTED',
  'TIMEOUT',
  'NOT_READY',
  'AGGREGATE_MISSING',
];

/** A kept stream may be renewed, a file of a database's log be open: some come and go. */
const isBack = (now: Footprint, then: Footprint): boolean =>
  now.files <= then.files + 10 && now.streams <= 1.2 * then.streams + 10 && now.timers <= 1.5 * then.timers + 20;

describe(`a soak of ${MINUTES} minutes`, function () {
  this.timeout(MINUTES * 60_000 + 10 * EPOCH_MS);
  let nest: Nest;
  before(() => {
    nest = new Nest();
  });
  after(() => nest.end());

  it('of eight daemons that are killed and stopped at random: epochs go on, and nothing piles up', async () => {
    const random = Random.from('soak', SEED);
    const rules = [`schedule = "${SCHEDULE}"`, 'epoch_deadline_ms = 20_000', 'min_deadline_ms = 2_000', 'retain_epochs = 10'];
    await nest.found('0', LAYERS, 'voting = "open"', ...rules);
    const listen: string[] = [];
    for (let d = 0; d < DAEMONS; d++) listen.push(`/ip4/127.0.0.1/tcp/${await freePort()}`);
    // One calibration would serve them all, but eight begin at once and take the machine for a minute.
    for (let d = 0; d < DAEMONS; d++) {
      mkdirSync(nest.data(`${d}`), { recursive: true });
      writeFileSync(join(nest.data(`${d}`), 'config.toml'), '[compute]\nbackend = "ts"\n');
    }
    const start = (d: number): Promise<Daemon> => {
      const flags = ['--listen', listen[d] as string, ...(d === 0 ? [] : ['--bootstrap', listen[0] as string])];
      return nest.ready(`${d}`, nest.launch(`${d}`, ...flags), EPOCH_MS);
    };
    /** Undefined while it is gone. */
    const daemons: (Daemon | undefined)[] = [];
    for (let d = 0; d < DAEMONS; d++) daemons.push(await start(d));
    const founder = daemons[0] as Daemon;
    const { tensors } = await founder.client.call('swarm_info');
    const beginMs = performance.now();
    const minutes = (): number => (performance.now() - beginMs) / 60_000;
    let over = false;

    /** One trainer a daemon, for as long as the test goes on. */
    const contributed = new Array<number>(DAEMONS).fill(0);
    const train = async (d: number): Promise<void> => {
      const update = noisyUpdate(tensors, d);
      while (!over) {
        const client = daemons[d]?.client;
        if (client === undefined) {
          await sleep(PAUSE_MS);
          continue;
        }
        try {
          // Epochs wait for a trainer that is attached; a daemon forgets it by a restart, or when it was long silent.
          if ((await client.call('trainer_status')).length === 0) await client.call('trainer_attach', { name: 'soak' });
          const { epoch } = await client.call('epoch_current');
          await client.submit({ epoch, kind: 'delta', samples: 10 }, update);
          contributed[d] = (contributed[d] as number) + 1;
          await client.call('epoch_wait', { epoch, timeoutMs: 5_000 });
        } catch (error) {
          const { code } = asStarlingError(error);
          if (daemons[d]?.process.isRunning === true && !PASSING.includes(code)) throw error;
          await sleep(PAUSE_MS);
        }
      }
    };

    const seen: Footprint[][] = daemons.slice(0, WATCHED).map(() => []);
    let finalized = 0;
    let averaged = 0;
    let sinceMs = performance.now();
    let longestMs = 0;
    let said = 0;
    const strokes = { SIGKILL: 0, SIGTERM: 0, start: 0 };
    const watch = async (): Promise<void> => {
      while (!over) {
        for (const [w, footprints] of seen.entries()) {
          const { client, process } = daemons[w] as Daemon;
          footprints.push(await footprint(process.pid as number, client, minutes()));
        }
        const { epoch } = (await founder.client.call('epoch_current')).finalized;
        for (let one = finalized + 1; one <= epoch; one++) {
          const { roster } = await founder.client.call('epoch_get', { epoch: one });
          averaged += roster.filter(({ weight }) => weight > 0).length;
          sinceMs = performance.now();
        }
        finalized = epoch;
        longestMs = Math.max(longestMs, performance.now() - sinceMs);
        assert.ok(
          longestMs < EPOCH_MS,
          `no epoch was final for ${EPOCH_MS} ms after epoch ${finalized}; the founder says:\n${founder.process.tail}`,
        );
        if (minutes() >= said) {
          said += SAY_EVERY_MINUTES;
          process.stdout.write(
            `${JSON.stringify({ finalized, averaged, ...strokes, watched: seen.map((footprints) => footprints.at(-1)) })}\n`,
          );
        }
        await sleep(WATCH_EVERY_MS);
      }
    };

    /** Two are gone at a time, at most; in the end all are there. */
    const strike = async (): Promise<void> => {
      const goneNow = (): number[] => [...daemons.keys()].filter((d) => daemons[d] === undefined);
      for (const endMs = performance.now() + MINUTES * 60_000; performance.now() < endMs; ) {
        await sleep(random.uniform() * STROKE_MS);
        const gone = goneNow();
        const there = [...daemons.keys()].filter((d) => d >= WATCHED && daemons[d] !== undefined);
        if (gone.length > 0 && (gone.length === GONE || random.uniform() < 0.5)) {
          const d = gone[random.below(gone.length)] as number;
          daemons[d] = await start(d);
          strokes.start += 1;
        } else {
          const d = there[random.below(there.length)] as number;
          const signal = random.uniform() < 0.5 ? 'SIGKILL' : 'SIGTERM';
          const { process } = daemons[d] as Daemon;
          daemons[d] = undefined;
          const { code } = await process.end(signal);
          if (signal === 'SIGTERM') assert.equal(code, 0, process.tail);
          strokes[signal] += 1;
        }
      }
      for (const d of goneNow()) daemons[d] = await start(d);
    };

    /** What the watched hold on to once all are connected and have made some epochs. */
    const rested = async (epochs: number): Promise<Footprint[]> => {
      const from = (await founder.client.call('epoch_current')).finalized.epoch;
      await until(
        () => `all daemons are connected and ${epochs} more epochs final; the founder says:\n${founder.process.tail}`,
        async () => {
          if (finalized < from + epochs) return false;
          const peers = await Promise.all(daemons.map(async (one) => (await one?.client.call('peers_list'))?.length ?? 0));
          return peers.every((count) => count === DAEMONS - 1);
        },
        (epochs + 1) * EPOCH_MS,
      );
      return seen.map((footprints) => footprints.at(-1) as Footprint);
    };

    const work = Promise.all([...[...daemons.keys()].map(train), watch()]);
    let first: Footprint[] = [];
    const story = async (): Promise<void> => {
      first = await rested(3);
      await strike();
      await until(
        () => `what is held comes back from ${JSON.stringify(seen.map((f) => f.at(-1)))} to ${JSON.stringify(first)}`,
        () => seen.every((footprints, w) => isBack(footprints.at(-1) as Footprint, first[w] as Footprint)),
        EPOCH_MS,
      );
    };
    try {
      await Promise.race([work, story()]);
    } finally {
      over = true;
    }
    await work;

    const most = Math.max(...seen.flat().map(({ residentMib }) => residentMib));
    const slopes = seen.map((footprints) => {
      const settled = footprints.filter((one) => one.minutes > SETTLED).map(({ minutes: x, residentMib: y }) => [x, y] as const);
      return settled.length > 60 ? slopeOf(settled) : undefined;
    });
    const last = seen.map((footprints) => footprints.at(-1));
    process.stdout.write(
      `${JSON.stringify({ minutes: MINUTES, seed: SEED, finalized, averaged, longestMs, strokes, contributed, most, slopes, first, last })}\n`,
    );
    assert.ok(contributed.every((count) => count > 0));
    const given = contributed.reduce((a, b) => a + b, 0);
    assert.ok(averaged > given / 2, `${averaged} of ${given} contributions were averaged`);
    assert.ok(most < CEILING_MIB, `${most} MiB`);
    for (const slope of slopes) if (slope !== undefined) assert.ok(slope < SLOPE_MIB, `memory grows by ${slope} MiB a minute`);
  });
});
