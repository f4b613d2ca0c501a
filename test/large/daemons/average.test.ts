import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bytesOf } from '../../../src/aggregation/index.ts';
import { contentOf } from '../../../src/crypto/index.ts';
import { createSwarm } from '../../../src/node/create.ts';
import { loadSwarmConfig } from '../../../src/node/swarmConfig.ts';
import { dataFolderAt } from '../../../src/storage/index.ts';
import { encodeSafetensors } from '../../../src/wire/index.ts';
import { type Daemon, Nest, until } from '../../support/daemons.ts';

/** A million and four unless told otherwise: `AVERAGE_PARAMETERS=50000000 AVERAGE_NODES=8`. */
const PARAMETERS = Number(process.env.AVERAGE_PARAMETERS ?? 1_000_000);
const NODES = Number(process.env.AVERAGE_NODES ?? 4);
/** Schedules of a mean, and rules that need every row. */
const WAYS = (process.env.AVERAGE_WAYS ?? 'auto,ring,median').split(',');
const EPOCHS = 3;
/** Exponent of the first epoch's scale. Half of its range is never used, so that it halves with every epoch. */
const EXPONENT = -12;
/** Ms for an epoch: two cores do the work of all nodes. No question to a daemon may wait longer. */
const EPOCH_MS = Math.min(240_000, 60_000 + (PARAMETERS / 1e6) * NODES * 1_000);
/**
 * What node `i` learns, in scales: rounding leaves these as they are whatever its noise, since noise is added in f32, where 1 plus the
 * largest of it is 2.
 */
const learned = (i: number, k: number): number => -Number((k * 7 + i * 13) % 5 < 2 + (i % 2));
const samplesOf = (i: number): number => 100 + 10 * i;

describe(`an average of ${PARAMETERS} parameters over ${NODES} daemons`, function () {
  this.timeout(10 * 60_000 + 4 * EPOCHS * EPOCH_MS);
  let nest: Nest;
  beforeEach(() => {
    nest = new Nest();
  });
  afterEach(() => nest.end());

  for (const way of WAYS)
    it(`by ${way}: the same bytes everywhere, those of plain integers, in less than four models of memory`, async () => {
      await found(way);
      const founder = await nest.daemon('node0');
      const daemons = [founder];
      for (let i = 1; i < NODES; i++) daemons.push(await nest.daemon(`node${i}`, '--bootstrap', founder.address));
      await until(
        () => `all vote; the founder says:\n${founder.process.tail}`,
        async () => {
          const infos = await Promise.all(daemons.map(({ client }) => client.call('swarm_info')));
          return infos.every(({ members }) => members.filter(({ vote }) => vote === 'voter').length === NODES);
        },
        60_000,
      );
      for (const { client } of daemons) await client.call('trainer_attach', { name: 'average' });
      await until(
        () => 'all know of all trainers, and wait for them',
        async () => (await Promise.all(daemons.map(({ client }) => client.call('epoch_current')))).every((e) => e.activeTrainers === NODES),
        60_000,
      );
      const { tensors, parameters } = await founder.client.call('swarm_info');
      for (let n = 0; n < (way === 'median' ? 1 : EPOCHS); n++) {
        const scale = 2 ** (EXPONENT - n);
        const { epoch } = await founder.client.call('epoch_current');
        for (const [i, { client }] of daemons.entries()) {
          const values = new Float32Array(parameters);
          for (let k = 0; k < parameters; k++) values[k] = learned(i, k) * scale;
          let at = 0;
          const named = tensors.map(({ name, shape }) => {
            const length = shape.reduce((a, b) => a * b, 1);
            at += length;
            return { name, shape, values: values.subarray(at - length, at) };
          });
          await client.submit({ epoch, kind: 'delta', samples: samplesOf(i), metrics: {} }, encodeSafetensors(named));
        }
        for (const { client } of daemons) await client.call('epoch_wait', { epoch, timeoutMs: EPOCH_MS });
        await agree(daemons, epoch, parameters, way === 'median');
      }
      const peaks = daemons.map(({ data }) => peakBytes(data));
      console.log(`      ${way}: peak resident memory ${peaks.map((bytes) => Math.round(bytes / 2 ** 20)).join(', ')} MiB`);
      // A process with its code is half of the least: with ten million parameters 350 to 370 MiB were measured.
      const most = Math.max(4 * 4 * parameters, 480 * 2 ** 20);
      for (const bytes of peaks) assert.ok(bytes < most, `${bytes} bytes at the peak, at most ${most} are allowed`);
    });

  async function found(way: string): Promise<void> {
    const named = way === 'median' ? 'aggregation = "median"' : `schedule = "${way}"`;
    const rules = ['voting = "open"', named, 'clip_norm = 1_000_000.0', `scale_exponent = ${EXPONENT}`];
    // Everyone is waited for: an upload takes its time.
    const deadlines = ['epoch_deadline_ms = 600_000', 'min_deadline_ms = 1_000'];
    const model = ['[model]', 'kind = "mlp"', `layers = [${Math.round(PARAMETERS / 1_000)}, 998, 2]`];
    const config = join(nest.folder, 'swarm.toml');
    writeFileSync(config, [`name = "${way}"`, ...rules, ...deadlines, ...model, ''].join('\n'));
    await createSwarm(nest.data('node0'), loadSwarmConfig(config));
  }

  /** All have the same model, and each holds the sum of whole numbers, or of the middle ones, that a plain loop gives. */
  async function agree(daemons: readonly Daemon[], epoch: number, parameters: number, isMedian: boolean): Promise<void> {
    const views = await Promise.all(daemons.map(({ client }) => client.call('epoch_get', { epoch })));
    assert.equal(new Set(views.map(({ modelRoot }) => modelRoot)).size, 1);
    const [view] = views as [(typeof views)[0]];
    const sum = new Int32Array(parameters);
    const contributions = view.roster.filter(({ kind }) => kind === 'contribution');
    assert.equal(contributions.length, daemons.length);
    const rows = contributions.map(({ author, weight }) => ({ i: daemons.findIndex(({ info }) => info.fingerprint === author), weight }));
    for (let k = 0; k < parameters; k++)
      if (isMedian) sum[k] = middleOf(rows.map(({ i }) => learned(i, k)));
      else for (const { i, weight } of rows) sum[k] = (sum[k] as number) + weight * learned(i, k);
    const { root } = contentOf(bytesOf(sum));
    for (const { data } of daemons) {
      const path = join(dataFolderAt(data).blobs, root.slice(0, 2), root);
      assert.ok(existsSync(path), `the sum of epoch ${epoch}, ${root}, is not held in ${data}`);
    }
  }
});

/** The middle value, or the sum of the middle two. */
function middleOf(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const [low, high] = [sorted[(values.length - 1) >> 1] as number, sorted[values.length >> 1] as number];
  return values.length % 2 === 1 ? low : low + high;
}

function peakBytes(data: string): number {
  const { pid } = JSON.parse(readFileSync(join(data, 'api.json'), 'utf8')) as { pid: number };
  return 1_024 * Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
}
