import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { chunkAt, contentOf } from '../../src/crypto/index.ts';
import { createSwarm } from '../../src/node/create.ts';
import { loadSwarmConfig } from '../../src/node/swarmConfig.ts';
import { StarlingError } from '../../src/spec/index.ts';
import { type ContentRequest, encode, encodeContentIndex, encodeMetaUpdate, encodeSafetensors, epochTopic } from '../../src/wire/index.ts';
import { type Contribution, random } from '../support/author.ts';
import { contribute, type Daemon, decide, Nest, until, updateOf } from '../support/daemons.ts';
import { type HostilePeer, joinAsHostile } from '../support/hostilePeer.ts';

interface Counter {
  readonly name: string;
  readonly values: readonly { readonly value: number; readonly labels: Record<string, string> }[];
}

/** One figure of a daemon, 0 before it was counted. */
async function counted(daemon: Daemon, name: string, labels: Record<string, string>): Promise<number> {
  const metrics = (await daemon.client.call('metrics_get')) as Counter[];
  const values = metrics.find((one) => one.name === `starling_${name}_total`)?.values ?? [];
  return values.find((one) => Object.entries(labels).every(([label, value]) => one.labels[label] === value))?.value ?? 0;
}

describe('bad chunks and manifests from a hostile peer', function () {
  this.timeout(60_000);
  let nest: Nest;
  let daemon: Daemon;
  let peer: HostilePeer;
  before(async () => {
    nest = new Nest();
    // 135,702 integers: two chunks, and nothing rides along. Everyone gets them all, where the swarm would sum over streams.
    // An epoch begins with the hostile contribution, and waits for that of the daemon: long enough for a pull on a busy machine.
    await nest.found('node', [300, 450, 2], 'epoch_deadline_ms = 10_000', 'min_deadline_ms = 500', 'schedule = "gossip"');
    daemon = await nest.daemon('node');
    await decide(daemon);
    peer = await joinAsHostile(daemon);
  });
  after(async () => {
    await peer.leave();
    await nest.end();
  });

  async function authorsOf(epoch: number): Promise<string[]> {
    await daemon.client.call('epoch_wait', { epoch });
    const { roster } = await daemon.client.call('epoch_get', { epoch });
    return roster.flatMap((one) => (one.weight > 0 ? [one.author] : []));
  }

  async function craft(): Promise<Contribution & { readonly bytes: Uint8Array }> {
    const { epoch, applied } = await daemon.client.call('epoch_current');
    const { manifest, ...rest } = peer.author.contribution(epoch, applied.decision, random(1)[0]);
    return { ...rest, manifest: { ...manifest, inline: null }, bytes: manifest.inline as Uint8Array };
  }

  const isLeaves = ({ index }: ContentRequest): boolean => index === 'leaves';
  const lies: Readonly<Record<string, (bytes: Uint8Array, request: ContentRequest) => Uint8Array>> = {
    'a leaf twice': (bytes) => {
      const { sizeBytes, leaves } = contentOf(bytes);
      return encode([sizeBytes, Buffer.concat([leaves[0], leaves[0]] as Uint8Array[]), null]);
    },
    'a leaf less': (bytes) => encode([bytes.byteLength, contentOf(bytes).leaves[0], null]),
    'a terabyte': () => encode([2 ** 40, random(32), null]),
    'the leaves of other content': (bytes) => encodeContentIndex(contentOf(random(bytes.byteLength))),
    'chunks after the last': (bytes) => encode([bytes.byteLength, Buffer.concat(contentOf(bytes).leaves), Uint8Array.of(0xff)]),
    'one chunk for the other': (bytes, request) =>
      isLeaves(request) ? encodeContentIndex(contentOf(bytes)) : chunkAt(bytes, 1 - Number(request.index)),
  };
  for (const [what, lie] of Object.entries(lies))
    it(`leaves an author that gives ${what}, and averages without it`, async () => {
      const contribution = await craft();
      const before = await counted(daemon, 'content_faults', { code: 'HASH_MISMATCH' });
      peer.give((request) => lie(contribution.bytes, request));
      await peer.publish(contribution);
      peer.author.extend(contribution.entry);
      await until(
        () => `the lie is noticed; the daemon says:\n${daemon.process.tail}`,
        async () => (await counted(daemon, 'content_faults', { code: 'HASH_MISMATCH' })) > before,
      );
      assert.deepEqual(await decide(daemon), [daemon.info.fingerprint]);
    });

  it('refuses a manifest that claims a terabyte, and ignores a second one of a contribution', async () => {
    const { entry, manifest, bytes, keys } = await craft();
    peer.give((request) => (isLeaves(request) ? encodeContentIndex(contentOf(bytes)) : chunkAt(bytes, Number(request.index))));
    const say = (change: object): Promise<void> =>
      peer.gossip(epochTopic(peer.author.swarm, entry.core.body.epoch), encodeMetaUpdate({ ...manifest, ...change }));
    const comes = async (verdict: string, code: string, work: () => Promise<void>): Promise<void> => {
      const before = await counted(daemon, 'network_gossip_refused', { verdict, code });
      await work();
      await until(
        () => `${verdict} ${code}; the daemon says:\n${daemon.process.tail}`,
        async () => (await counted(daemon, 'network_gossip_refused', { verdict, code })) > before,
      );
    };
    await comes('reject', 'MALFORMED', () => say({ cipherBytes: 2 ** 40 }));
    await say({});
    await until(
      () => 'the entry is on the ledger',
      () => daemon.client.call('ledger_get', { id: entry.id }).catch(() => undefined),
    );
    await comes('ignore', 'DUPLICATE', () => say({ cipherRoot: 'b'.repeat(64) }));
    // It is the first that counts, and the true bytes are averaged.
    peer.author.extend(entry);
    await peer.publish({ entry, manifest, keys });
    assert.ok((await authorsOf(entry.core.body.epoch)).includes(peer.author.identity.fingerprint));
    await decide(daemon);
  });
});

describe('the smallest models', function () {
  this.timeout(60_000);
  let nest: Nest;
  before(() => {
    nest = new Nest();
  });
  after(() => nest.end());

  /** A swarm's file for tensors of these shapes, with zeros to begin with. */
  function configOf(name: string, shapes: readonly (readonly number[])[]): string {
    const tensors = shapes.map((shape, i) => ({ name: `t${i}`, shape, values: new Float32Array(shape.reduce((a, b) => a * b, 1)) }));
    writeFileSync(nest.data(`${name}.safetensors`), encodeSafetensors(tensors));
    const path = nest.data(`${name}.toml`);
    const listed = tensors.map((one) => `{ name = "${one.name}", shape = [${one.shape.join(', ')}] }`);
    const model = ['[model]', 'kind = "tensors"', `tensors = [${listed.join(', ')}]`, `initial = "${name}.safetensors"`];
    writeFileSync(path, [`name = "${name}"`, 'epoch_deadline_ms = 1_000', 'min_deadline_ms = 100', ...model, ''].join('\n'));
    return path;
  }

  it('of one number, and of one more, learn in a swarm of one', async () => {
    await createSwarm(nest.data('one'), loadSwarmConfig(configOf('one', [[], [1]])));
    const daemon = await nest.daemon('one');
    const { tensors } = await daemon.client.call('swarm_info');
    const { epoch } = await contribute(daemon.client);
    await daemon.client.call('epoch_wait', { epoch });
    assert.equal((await daemon.client.call('epoch_get', { epoch })).roster.filter(({ weight }) => weight > 0).length, 1);
    const empty = encodeSafetensors(tensors.map(({ name }) => ({ name, shape: [0], values: new Float32Array(0) })));
    const submitted = daemon.client.submit({ epoch: epoch + 1, kind: 'delta', samples: 1 }, empty);
    await assert.rejects(
      submitted,
      (error) => error instanceof StarlingError && error.code === 'BAD_SHAPE' && error.facts.field !== undefined,
    );
    assert.ok(await daemon.client.submit({ epoch: epoch + 1, kind: 'delta', samples: 1 }, updateOf(tensors, 0)));
  });

  it('have no tensor without elements', () => {
    assert.throws(
      () => loadSwarmConfig(configOf('none', [[2], [0]])),
      (error) => error instanceof StarlingError && error.code === 'BAD_CONFIG' && `${error.facts.field}`.includes('shape'),
    );
  });
});
