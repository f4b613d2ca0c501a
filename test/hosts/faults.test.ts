import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bytesOf } from '../../src/aggregation/index.ts';
import type { EpochView } from '../../src/api/service.ts';
import { contentOf } from '../../src/crypto/index.ts';
import { createSwarm } from '../../src/node/create.ts';
import { loadSwarmConfig } from '../../src/node/swarmConfig.ts';
import { decodeSafetensors, encodeSafetensors, matchTensors } from '../../src/wire/index.ts';
import { FAULTS, type Fault, NOW, PHASES, type Phase } from '../support/averageFaults.ts';
import { type Daemon, Nest, until } from '../support/daemons.ts';
import { Hosts } from '../support/hosts.ts';

/** Every fault at every moment, instead of some of them. */
const ALL_CASES = process.env.TEST_FAULTS === 'all';
const ALL = [0, 1, 2, 3, 4];
/** Who breaks. */
const VICTIM = 4;
const OTHERS = ALL.filter((host) => host !== VICTIM);
const BREAKS = fileURLToPath(new URL('../support/averageFaults.ts', import.meta.url));
/** Steps of five members' schedule. Five in a grid are five in a ring: the next smaller grid is that of the four who are left. */
const STEPS = { ring: 8, grid: 8, butterfly: 2 } as const;
type Schedule = keyof typeof STEPS;
/** A part of a fifth is several chunks, also of one byte a value. */
const LAYERS = [3_000, 998, 2] as const;
/** Of the scale. The first value keeps it where it is: it takes up two thirds of the range. */
const EXPONENT = -12;
/**
 * What a host learns, in scales: -1 and 0 are exact under any rounding noise, which the test of the sum needs. Who breaks learns nothing
 * but the first: what it is left out with comes back with its next update, and -2 would not be exact. Its weight still tells.
 */
function learned(host: number, k: number): number {
  if (k === 0) return 20_000;
  return host === VICTIM ? 0 : -Number((k * 7 + host * 13) % 5 < 2 + (host % 2));
}
/** Ms for what must happen at some time, with five daemons on two cores. */
const SOME_TIME_MS = 60_000;

/** In CI, where each takes twenty seconds. */
const SOME: readonly (readonly [Schedule, Fault, Phase])[] = [
  ['ring', 'kill', 'reduce-scatter'],
  ['ring', 'slow', 'reduce-scatter'],
  ['butterfly', 'freeze', 'all-gather'],
];
const casesOf = (schedule: Schedule): (readonly [Fault, Phase])[] =>
  ALL_CASES
    ? FAULTS.flatMap((fault) => PHASES.map((phase) => [fault, phase] as const))
    : SOME.flatMap(([of, fault, phase]) => (of === schedule ? [[fault, phase] as const] : []));

describe('a member that breaks in the middle of an average, five daemons on five hosts', function () {
  this.timeout(3 * SOME_TIME_MS);
  let nest: Nest;
  let hosts: Hosts;
  let daemons: Daemon[];
  let invite: string;

  const at = (host: number): Daemon => daemons[host] as Daemon;
  const nameOf = (host: number): string => at(host).info.fingerprint;
  const flags = (host: number): string[] => (host === 0 ? [] : ['--bootstrap', hosts.multiaddr(0), '--invite', invite]);

  for (const schedule of Object.keys(STEPS) as Schedule[]) {
    if (casesOf(schedule).length === 0) continue;
    describe(`by ${schedule}`, () => {
      let cleanMs: number;

      before(async () => {
        nest = new Nest();
        hosts = await Hosts.open(nest, ALL.length);
        await found(schedule);
        daemons = [await hosts.daemon(0)];
        const right = { nodeClass: 'core', vote: true, uses: ALL.length - 1, expiresMs: Date.now() + 3_600_000 } as const;
        ({ token: invite } = await at(0).client.call('swarm_invite', right));
        daemons.push(...(await Promise.all(ALL.slice(1).map((host) => hosts.daemon(host, ...flags(host))))));
        await allVote();
        await attach(ALL);
        const { view, tookMs } = await epoch(ALL);
        assert.deepEqual(view.dropped, []);
        cleanMs = tookMs;
      });
      after(async () => {
        await nest.end();
        await hosts?.close();
      });

      for (const [fault, phase] of casesOf(schedule))
        it(`${fault}, ${phase}`, async () => {
          const go = join(nest.folder, `${fault}-${phase}`);
          await at(VICTIM).process.end('SIGTERM');
          const environment = { AVERAGE_FAULT: fault, AVERAGE_PHASE: phase, AVERAGE_STEPS: `${STEPS[schedule]}`, AVERAGE_GO: go };
          daemons[VICTIM] = await hosts.daemonWith(VICTIM, { ...environment, NODE_OPTIONS: `--import ${BREAKS}` }, ...flags(VICTIM));
          await allVote();
          await attach([VICTIM]);
          const [{ view, tookMs }] = await Promise.all([epoch(OTHERS), handOn(fault, go)]);
          named(view, fault, phase);
          console.log(`        ${schedule} ${fault} ${phase}: ${Math.round(tookMs)} ms, ${Math.round(cleanMs)} ms with nobody broken`);
          await hosts.heal();
          await hosts.rate(VICTIM, '10gbit');
          await at(VICTIM).process.end('SIGKILL');
          daemons[VICTIM] = await hosts.daemon(VICTIM, ...flags(VICTIM));
          await allVote();
          await attach([VICTIM]);
          assert.deepEqual((await epoch(ALL)).view.dropped, [], 'whole again');
        });
    });
  }

  async function found(schedule: Schedule): Promise<void> {
    const config = join(nest.folder, 'swarm.toml');
    const rules = [`schedule = "${schedule}"`, 'epoch_deadline_ms = 60_000', 'min_deadline_ms = 1_000', `scale_exponent = ${EXPONENT}`];
    const bounds = ['clip_norm = 1_000_000.0', 'miss_epochs = 10_000'];
    writeFileSync(
      config,
      [`name = "${schedule}"`, ...rules, ...bounds, '[model]', 'kind = "mlp"', `layers = [${LAYERS.join(', ')}]`].join('\n'),
    );
    await createSwarm(nest.data(hosts.name(0)), loadSwarmConfig(config));
  }

  async function allVote(): Promise<void> {
    await until(
      () => `all five vote, and are connected; they say:\n${daemons.map(({ process }) => process.tail.slice(-800)).join('\n')}`,
      async () => {
        const [infos, peers] = await Promise.all([
          Promise.all(daemons.map(({ client }) => client.call('swarm_info'))),
          Promise.all(daemons.map(({ client }) => client.call('peers_list'))),
        ]);
        const vote = infos.every(({ members }) => members.filter((m) => m.vote === 'voter' && m.status === 'active').length === ALL.length);
        return vote && peers.every((list) => list.length >= ALL.length - 1);
      },
      SOME_TIME_MS,
    );
  }

  /** All are waited for: everyone knows of the trainers of all. */
  async function attach(hosts: readonly number[]): Promise<void> {
    for (const host of hosts) await at(host).client.call('trainer_attach', { name: 'faults' });
    await until(
      () => 'all know of all trainers',
      async () =>
        (await Promise.all(daemons.map(({ client }) => client.call('epoch_current')))).every((e) => e.activeTrainers === ALL.length),
      SOME_TIME_MS,
    );
  }

  /** Has a hand on the cable when the daemon says that its moment has come. */
  async function handOn(fault: Fault, go: string): Promise<void> {
    if (fault !== 'cut' && fault !== 'slow') return;
    await until(
      () => `the moment of the fault; it says:\n${at(VICTIM).process.tail}`,
      () => at(VICTIM).process.tail.includes(NOW),
      SOME_TIME_MS,
    );
    await (fault === 'cut' ? hosts.cut(VICTIM) : hosts.rate(VICTIM, '1mbit'));
    writeFileSync(go, '');
  }

  /** One epoch to which all five contribute, as these see it: the same model on all, that of the whole numbers of the survivors. */
  async function epoch(seers: readonly number[]): Promise<{ readonly view: EpochView; readonly tookMs: number }> {
    const { epoch: number } = await at(0).client.call('epoch_current');
    const { tensors, parameters } = await at(0).client.call('swarm_info');
    const before = await modelOf(0);
    for (const host of ALL) {
      const values = Float32Array.from({ length: parameters }, (_, k) => learned(host, k) * 2 ** EXPONENT);
      let end = 0;
      const named = tensors.map(({ name, shape }) => {
        const start = end;
        end += shape.reduce((a, b) => a * b, 1);
        return { name, shape, values: values.subarray(start, end) };
      });
      await at(host).client.submit({ epoch: number, kind: 'delta', samples: 100, metrics: {} }, encodeSafetensors(named));
    }
    const sinceMs = performance.now();
    await Promise.all(seers.map((host) => at(host).client.call('epoch_wait', { epoch: number, timeoutMs: SOME_TIME_MS })));
    const tookMs = performance.now() - sinceMs;
    const views = await Promise.all(seers.map((host) => at(host).client.call('epoch_get', { epoch: number })));
    assert.equal(new Set(views.map(({ modelRoot }) => modelRoot)).size, 1, 'one model');
    const [view] = views as [EpochView];
    const survivors = view.roster.filter(({ entry, kind }) => kind === 'contribution' && !view.dropped.some((d) => d.entry === entry));
    const total = survivors.reduce((sum, { weight }) => sum + weight, 0);
    const model = await modelOf(0);
    assert.equal(contentOf(bytesOf(model)).root, view.modelRoot);
    for (let k = 1; k < parameters; k++) {
      const sum = survivors.reduce((s, { author, weight }) => s + weight * learned(hostOf(author), k), 0);
      const expected = Math.fround((before[k] as number) + (sum * 2 ** EXPONENT) / total);
      if (model[k] !== expected) assert.equal(model[k], expected, `element ${k}`);
    }
    return { view, tookMs };
  }

  const hostOf = (author: string): number => ALL.findIndex((host) => nameOf(host) === author);

  async function modelOf(host: number): Promise<Float32Array> {
    const { bytes } = await at(host).client.model('finalized');
    return matchTensors((await at(host).client.call('swarm_info')).tensors, decodeSafetensors(bytes, bytes.byteLength));
  }

  /** Who is left out is the one that broke; who goes without being left out is named by an edge, unless it had done its part. */
  function named(view: EpochView, fault: Fault, phase: Phase): void {
    const victim = nameOf(VICTIM);
    for (const { author } of view.dropped) assert.equal(author, victim, JSON.stringify(view.dropped));
    for (const edge of view.broken) assert.ok(edge.includes(victim), JSON.stringify(view.broken));
    if (phase === 'after') return;
    assert.ok(view.dropped.length + view.broken.length > 0, 'somebody is named');
    if (fault === 'kill' || fault === 'freeze' || fault === 'cut') assert.equal(view.dropped.length, 1, 'it is left out');
    if (fault === 'corrupt' || fault === 'wrong-size') assert.ok(view.broken.length > 0 || view.dropped.length > 0);
  }
});
