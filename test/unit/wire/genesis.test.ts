import assert from 'node:assert/strict';
import { GENESIS_MAX_BYTES, StarlingError } from '../../../src/spec/index.ts';
import { decode, decodeGenesis, elementsOf, encode, encodeGenesis, parameterCount, swarmIdOf } from '../../../src/wire/index.ts';
import { genesis } from './samples.ts';

const wire = decode(encodeGenesis(genesis), 'genesis', GENESIS_MAX_BYTES) as Record<string, unknown>;
const { name: _, ...withoutName } = wire;
const founder = (wire.founders as unknown[])[0];

const refusals: readonly (readonly [string, Record<string, unknown>, string])[] = [
  ['another version', { ...wire, v: 2 }, 'genesis.v'],
  ['a missing key', withoutName, 'genesis.name'],
  ['an unknown key', { ...wire, extra: 1 }, 'genesis.extra'],
  ['an empty name', { ...wire, name: '' }, 'genesis.name'],
  ['no tensors', { ...wire, tensors: [], scaleExponents: [] }, 'genesis.tensors'],
  [
    'a tensor name twice',
    {
      ...wire,
      tensors: [
        ['a', [1]],
        ['a', [2]],
      ],
    },
    'genesis.tensors[1]',
  ],
  [
    'an axis of 0',
    {
      ...wire,
      tensors: [
        ['a', [0]],
        ['b', []],
      ],
    },
    'genesis.tensors[0].shape[0]',
  ],
  [
    'nine axes',
    {
      ...wire,
      tensors: [
        ['a', new Array(9).fill(1)],
        ['b', []],
      ],
    },
    'genesis.tensors[0].shape',
  ],
  [
    'more parameters than 2^28',
    {
      ...wire,
      tensors: [
        ['a', [2 ** 14, 2 ** 14]],
        ['b', []],
      ],
    },
    'genesis.tensors',
  ],
  [
    'a product beyond doubles',
    {
      ...wire,
      tensors: [
        ['a', new Array(8).fill(2 ** 28)],
        ['b', []],
      ],
    },
    'genesis.tensors',
  ],
  ['an unknown rule', { ...wire, aggregation: 'mode' }, 'genesis.aggregation'],
  ['another admission', { ...wire, admission: 'vote' }, 'genesis.admission'],
  ['another way to vote', { ...wire, voting: 'stake' }, 'genesis.voting'],
  ['no snapshots', { ...wire, snapshotEpochs: 0 }, 'genesis.snapshotEpochs'],
  ['nothing retained', { ...wire, retainEpochs: 0 }, 'genesis.retainEpochs'],
  ['an unknown dtype', { ...wire, updateDtype: 'int4' }, 'genesis.updateDtype'],
  ['an unknown encoding', { ...wire, encoding: 'fourier' }, 'genesis.encoding'],
  ['a share of nothing', { ...wire, topkShare: 0.0009 }, 'genesis.topkShare'],
  ['an unknown schedule', { ...wire, schedule: 'star' }, 'genesis.schedule'],
  ['another way without a quorum', { ...wire, withoutQuorum: 'wait' }, 'genesis.withoutQuorum'],
  ['a default that is said', { ...wire, withoutQuorum: 'decide' }, 'genesis.withoutQuorum'],
  ['more than all of it', { ...wire, topkShare: 1.01 }, 'genesis.topkShare'],
  ['an exponent below -60', { ...wire, scaleExponents: [-61, 0] }, 'genesis.scaleExponents[0]'],
  ['an exponent above 20', { ...wire, scaleExponents: [0, 21] }, 'genesis.scaleExponents[1]'],
  ['one exponent missing', { ...wire, scaleExponents: [0] }, 'genesis.scaleExponents'],
  ['eta 0', { ...wire, eta: 0 }, 'genesis.eta'],
  ['a negative clipNorm', { ...wire, clipNorm: -1 }, 'genesis.clipNorm'],
  ['a floor above the deadline', { ...wire, minDeadlineMs: 5_001 }, 'genesis.minDeadlineMs'],
  ['no founders', { ...wire, founders: [] }, 'genesis.founders'],
  ['a founder twice', { ...wire, founders: [founder, founder] }, 'genesis.founders[1]'],
  ['a root in hex text', { ...wire, initialModelRoot: 'ab'.repeat(32) }, 'genesis.initialModelRoot'],
];

describe('genesis', () => {
  it('decodes to what was encoded', () => {
    assert.deepEqual(decodeGenesis(encodeGenesis(genesis)), genesis);
    const invited = { ...genesis, admission: 'invite', voting: 'open' } as const;
    assert.deepEqual(decodeGenesis(encodeGenesis(invited)), invited);
    const diffusing = { ...genesis, withoutQuorum: 'diffuse' } as const;
    assert.deepEqual(decodeGenesis(encodeGenesis(diffusing)), diffusing);
    assert.ok(!('withoutQuorum' in decodeGenesis(encodeGenesis(genesis))));
    for (const encoding of ['topk', 'sign'] as const) {
      const sparse = { ...genesis, encoding, topkShare: 0.01 };
      assert.deepEqual(decodeGenesis(encodeGenesis(sparse)), sparse);
    }
  });

  it('counts elements, a scalar as one', () => {
    assert.deepEqual(genesis.tensors.map(elementsOf), [6, 1]);
    assert.equal(parameterCount(genesis.tensors), 7);
  });

  it('gives two swarms of one configuration two ids', () => {
    assert.notEqual(swarmIdOf(encodeGenesis(genesis)), swarmIdOf(encodeGenesis({ ...genesis, createdMs: genesis.createdMs + 1 })));
  });

  for (const [what, value, field] of refusals)
    it(`refuses ${what}`, () => {
      assert.throws(
        () => decodeGenesis(encode(value)),
        (e) => e instanceof StarlingError && e.code === 'MALFORMED' && e.facts.field === field,
      );
    });

  it('bounds its size', () => {
    assert.throws(() => decodeGenesis(new Uint8Array(GENESIS_MAX_BYTES + 1)), { code: 'TOO_LARGE' });
  });

  it('holds ten thousand tensors', () => {
    const tensors = Array.from({ length: 10_000 }, (_, i) => ({ name: `model.layers.${i}.attention.query.weight`, shape: [64, 64] }));
    const large = { ...genesis, tensors, scaleExponents: tensors.map(() => -12) };
    assert.deepEqual(decodeGenesis(encodeGenesis(large)), large);
  });
});
