import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import type { ApiClient } from '../../../src/api/client.ts';
import { createSwarm } from '../../../src/node/create.ts';
import { loadSwarmConfig } from '../../../src/node/swarmConfig.ts';
import { encodeSafetensors } from '../../../src/wire/index.ts';
import { contribute, type Daemon, Nest, until } from '../../support/daemons.ts';
import { joinAsLyingDonor } from '../../support/lyingDonor.ts';
import { stopAll } from '../../support/networkHosts.ts';

/** Epochs before the newcomer comes; a long run asks for 200. */
const EPOCHS = Number(process.env.NEWCOMER_EPOCHS ?? 2);
/** Elements of the model: 40 MB. */
const PARAMETERS = Number(process.env.NEWCOMER_PARAMETERS ?? 10_000_000);
/** Elements that each contribution changes: the others are zero, which is quick to send. */
const CHANGED = Math.min(100_000, PARAMETERS);
/** Daemons that nobody invited. */
const UNINVITED = Number(process.env.NEWCOMER_UNINVITED ?? 4);
/** Of them, those that start at once: a daemon's start takes a core for a second or two. */
const STARTED_AT_ONCE = 2;
/** Epochs that are timed while the uninvited are not there yet, while they are, and when they are gone. */
const TIMED = 3;
/** Times that a long run says how large the daemons are. */
const SIZES_SAID = 10;
/** Ms for an epoch, or for a start, on a machine that does other things too; each takes a few seconds where a machine has two cores. */
const EPOCH_MS = 120_000;
const TENSOR = 'w';

/** Small values, other ones at every call; those beyond `changed` are zero. */
const randomly = (changed: number): Uint8Array => {
  const values = new Float32Array(PARAMETERS);
  for (let i = 0; i < changed; i++) values[i] = (Math.random() - 0.5) / 100;
  return encodeSafetensors([{ name: TENSOR, shape: [PARAMETERS], values }]);
};

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] as number;
const say = (text: string): void => console.log(`      ${text}`);

/** Resident memory of daemons, MB. */
const sizesOf = (daemons: readonly Daemon[]): Promise<number[]> =>
  Promise.all(
    daemons.map(async ({ client }) => {
      const figures = (await client.call('metrics_get')) as { name: string; values: { value: number }[] }[];
      const bytes = figures.find(({ name }) => name === 'starling_resident_bytes')?.values[0]?.value as number;
      return Math.round(bytes / 1e6);
    }),
  );

const seatsOf = async ({ client }: Daemon): Promise<number> => (await client.call('swarm_info')).seats;
const finalEpoch = async (client: ApiClient): Promise<number> => (await client.call('epoch_current')).finalized.epoch;

/** Resolves when `daemon` has `epoch` final. It waits there: to ask again and again would take time from what is waited for. */
const final = (daemon: Daemon, epoch: number) =>
  until(
    () => `epoch ${epoch} is final at ${daemon.info.fingerprint}; it says:\n${daemon.process.tail}`,
    async () => {
      const { finalized } = await daemon.client.call('epoch_wait', { epoch, timeoutMs: EPOCH_MS });
      return finalized.epoch >= epoch;
    },
    EPOCH_MS,
  );

const invitedBy = async ({ client }: Daemon): Promise<string> => {
  const { token } = await client.call('swarm_invite', { nodeClass: 'core', vote: true, expiresMs: Date.now() + 3_600_000, uses: 1 });
  return token;
};

/** The founder and three that it invited to vote, once all four do. */
async function fourVoters(nest: Nest): Promise<[Daemon, Daemon, Daemon, Daemon]> {
  const founder = await nest.daemon('0');
  const join = async (name: string) => nest.daemon(name, '--bootstrap', founder.address, '--invite', await invitedBy(founder));
  const four = [founder, ...(await Promise.all(['1', '2', '3'].map(join)))];
  await until(
    () => `four vote; the founder says:\n${founder.process.tail}`,
    async () => (await Promise.all(four.map(seatsOf))).every((seats) => seats === 4),
    EPOCH_MS,
  );
  return four as [Daemon, Daemon, Daemon, Daemon];
}

/** Hands over one update for the epoch that is collected, and resolves with that epoch once it is final. */
async function learn(daemon: Daemon): Promise<number> {
  const { client } = daemon;
  const update = randomly(CHANGED);
  for (;;) {
    const { epoch } = await client.call('epoch_current');
    try {
      await client.submit({ epoch, kind: 'delta', samples: 10 }, update);
    } catch (error) {
      // A block may come while an update of this size is on its way.
      if ((error as { code?: string }).code !== 'EPOCH_PAST') throw error;
      continue;
    }
    await final(daemon, epoch);
    return epoch;
  }
}

describe('a newcomer', function () {
  this.timeout((10 + EPOCHS + UNINVITED) * EPOCH_MS);
  let nest: Nest;
  beforeEach(() => {
    nest = new Nest();
  });
  afterEach(async () => {
    await stopAll();
    await nest.end();
  });

  it(`at epoch ${EPOCHS} of four nodes takes the model from several though one dies and one lies, contributes next, and votes as invited`, async () => {
    const initial = nest.data('initial.safetensors');
    writeFileSync(initial, randomly(PARAMETERS));
    const config = nest.data('swarm.toml');
    const rules = ['name = "large"', 'epoch_deadline_ms = 30_000', 'min_deadline_ms = 100', 'miss_epochs = 100'];
    const model = ['[model]', 'kind = "tensors"', `initial = "${initial}"`, `tensors = [{ name = "${TENSOR}", shape = [${PARAMETERS}] }]`];
    writeFileSync(config, [...rules, ...model, ''].join('\n'));
    await createSwarm(nest.data('0'), loadSwarmConfig(config));
    const four = await fourVoters(nest);
    const [founder, , , victim] = four;
    const sinceEpoch = await finalEpoch(founder.client);
    const tookMs: number[] = [];
    for (let i = 0; i < EPOCHS; i++) {
      const sinceMs = performance.now();
      const epoch = await learn(four[i % 4] as Daemon);
      await Promise.all(four.map((daemon) => final(daemon, epoch)));
      tookMs.push(performance.now() - sinceMs);
      if ((i + 1) % Math.ceil(EPOCHS / SIZES_SAID) === 0)
        say(`epoch ${epoch} is final, ${Math.round(median(tookMs))} ms an epoch; resident MB: ${(await sizesOf(four)).join(', ')}`);
    }
    const liar = await joinAsLyingDonor(founder);
    await until(
      () => 'the lying donor is a member everywhere',
      async () => (await Promise.all(four.map(({ client }) => client.call('swarm_info')))).every(({ members }) => members.length === 5),
      EPOCH_MS,
    );
    assert.ok((await finalEpoch(founder.client)) >= sinceEpoch + EPOCHS);

    const bootstrap = [liar.address, ...four.map(({ address }) => address)].flatMap((address) => ['--bootstrap', address]);
    const starting = nest.launch('newcomer', ...bootstrap, '--invite', await invitedBy(founder));
    const { epoch: asked } = (await starting.logged({ msg: 'the newest model is asked for' }, EPOCH_MS)) as { epoch: number };
    // In the middle of it: the others stand still until one has died and one has lied.
    const others = four.filter((daemon) => daemon !== victim);
    for (const { process: donor } of others) process.kill(donor.pid as number, 'SIGSTOP');
    await victim.process.end();
    await until(
      () => `the liar is asked; the newcomer says:\n${starting.tail}`,
      () => liar.lies() > 0,
    );
    for (const { process: donor } of others) process.kill(donor.pid as number, 'SIGCONT');
    const newcomer = await nest.ready('newcomer', starting);
    const { epoch: pulled, ms } = await starting.logged({ msg: 'the model was pulled from peers' }, EPOCH_MS);
    assert.ok((pulled as number) >= asked);
    const left = newcomer.process.log
      .filter(({ msg }) => msg === 'a donor of the model was left')
      .map(({ peer, code }) => `${peer} ${code}`);
    assert.ok(left.includes(`${liar.peerId} HASH_MISMATCH`), `${left}`);
    assert.ok(
      left.some((one) => one.startsWith(victim.info.peerId)),
      `${left}`,
    );
    assert.equal(liar.lies(), 1);

    // From the block with its join on, five vote, and one of them is dead: the next needs the other four, the newcomer among them.
    await until(
      () => `five vote; the newcomer says:\n${starting.tail}`,
      async () => (await Promise.all([founder, newcomer].map(seatsOf))).every((seats) => seats === 5),
      EPOCH_MS,
    );
    const voter = await finalEpoch(founder.client);
    const epoch = await learn(newcomer);
    await final(founder, epoch);
    const { roster, modelRoot } = await founder.client.call('epoch_get', { epoch });
    assert.ok(
      roster.some(({ author, weight }) => author === newcomer.info.fingerprint && weight > 0),
      `epoch ${epoch}, a voter from epoch ${voter} on: ${JSON.stringify(roster)}; the newcomer says:\n${starting.tail}`,
    );
    assert.ok(epoch <= (pulled as number) + 2, `the model of epoch ${pulled}, a contribution to ${epoch}`);
    assert.equal((await newcomer.client.call('epoch_get', { epoch })).modelRoot, modelRoot);
    say(
      `the model of ${PARAMETERS} parameters came in ${Math.round(ms as number)} ms at epoch ${pulled}; a voter from epoch ${voter} on, whose vote`,
    );
    say(`epoch ${voter + 1} could not do without; contributed to epoch ${epoch}; resident MB: ${await sizesOf([newcomer])}`);
  });

  it(`does not vote by joining: ${UNINVITED} uninvited daemons move no quorum, neither when they come nor when they go`, async () => {
    await nest.found('0');
    const four = await fourVoters(nest);
    const [founder] = four;
    const names = Array.from({ length: UNINVITED }, (_, i) => `uninvited${i}`);
    /** Ms until an epoch with one contribution is final at all four, in the middle of TIMED that come from these in turn. */
    const timed = async (...from: readonly Daemon[]): Promise<number> => {
      const tookMs: number[] = [];
      for (let i = 0; i < TIMED; i++) {
        const sinceMs = performance.now();
        const { epoch } = await contribute((from[i % from.length] as Daemon).client);
        await Promise.all(four.map((one) => final(one, epoch)));
        tookMs.push(performance.now() - sinceMs);
        assert.deepEqual(await Promise.all(four.map(seatsOf)), [4, 4, 4, 4]);
        // Whoever is next may be late.
        await Promise.all(from.map((one) => final(one, epoch)));
      }
      return Math.round(median(tookMs));
    };
    const beforeMs = await timed(...four);
    const uninvited: Daemon[] = [];
    while (uninvited.length < UNINVITED) {
      const starting = names.slice(uninvited.length, uninvited.length + STARTED_AT_ONCE);
      const start = (name: string) => nest.ready(name, nest.launch(name, '--bootstrap', founder.address), EPOCH_MS);
      uninvited.push(...(await Promise.all(starting.map(start))));
    }
    await until(
      () => `all are members; the founder says:\n${founder.process.tail}`,
      async () => (await founder.client.call('swarm_info')).members.length === 4 + UNINVITED,
      EPOCH_MS,
    );
    const withMs = await timed(founder, uninvited[0] as Daemon);
    // Had they voted, fewer than a quorum would be left.
    await Promise.all(uninvited.map(({ process }) => process.end()));
    const afterMs = await timed(four[1], four[2]);
    say(`an epoch took ${beforeMs} ms without them, ${withMs} ms with ${UNINVITED} uninvited, ${afterMs} ms once they were gone`);
  });
});
