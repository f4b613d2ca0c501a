import assert from 'node:assert/strict';
import { identityFromSeeds, nobleMldsa, verifyEd25519 } from '../../../src/crypto/index.ts';
import { StarlingError } from '../../../src/spec/index.ts';
import { noteKeyHash, openCheckpoint, openNote, signCheckpoint, verifyCheckpoint } from '../../../src/wire/index.ts';
import { checkpoint, SWARM } from './finalitySamples.ts';
import { alice, id } from './samples.ts';

/** A published note and the verifier key that it comes with. */
interface Published {
  readonly where: string;
  readonly key: string;
  readonly note: string;
}

const published: readonly Published[] = [
  {
    where: 'c2sp.org/signed-note, "Example"',
    key: 'example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k',
    note: 'This is an example message.\n\n\u2014 example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n',
  },
  {
    where: "Go's golang.org/x/mod/sumdb/note, package example",
    key: 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW',
    note: "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n",
  },
];
/** c2sp.org/tlog-checkpoint and the poem of c2sp.org/signed-note: their keys are not printed. */
const behindTheSofa =
  'example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\u2014 example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n';
const poem =
  'Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned \u00e8 subito sera.\n\n\u2014 quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n';

describe('signed notes', () => {
  for (const { where, key, note } of published)
    it(`of ${where} parse, and verify with the key published beside them`, () => {
      const [, name, keyHash, packed] = /^(.+?)\+([0-9a-f]{8})\+(.+)$/.exec(key) ?? [];
      const typed = Buffer.from(packed as string, 'base64');
      assert.equal(noteKeyHash(name as string, typed), keyHash);
      const { text, signatures } = openNote(note);
      assert.deepEqual(
        signatures.map((s) => [s.name, s.keyHash]),
        [[name, keyHash]],
      );
      assert.equal(typed[0], 0x01); // Ed25519
      assert.equal(verifyEd25519(Buffer.from(text), signatures[0]?.signature as Uint8Array, typed.subarray(1)), true);
      assert.equal(verifyEd25519(Buffer.from(`${text}\n`), signatures[0]?.signature as Uint8Array, typed.subarray(1)), false);
    });

  it('end at their last empty line', () => {
    assert.equal(openNote(poem).text, poem.slice(0, poem.indexOf('\n\u2014')));
    assert.equal(openNote(behindTheSofa).text.split('\n')[1], '20852163');
    assert.equal(openNote(behindTheSofa).signatures[0]?.signature.byteLength, 64);
  });

  it('take sixteen signatures and no more', () => {
    const line = poem.slice(poem.indexOf('\u2014'));
    assert.equal(openNote(`text\n\n${line.repeat(16)}`).signatures.length, 16);
    assert.throws(() => openNote(`text\n\n${line.repeat(17)}`), { code: 'MALFORMED' });
  });

  const line = '\u2014 a.b AAAAAAA=\n';
  const broken: readonly (readonly [string, string])[] = [
    ['no signatures', 'text\n'],
    ['an empty line at the end', 'text\n\n'],
    ['no empty line', `text\n${line}`],
    ['no newline at the end', `text\n\n${line.trimEnd()}`],
    ['a hyphen for the dash', 'text\n\n- a.b AAAAAAA=\n'],
    ['a name with a plus', 'text\n\n\u2014 a+b AAAAAAA=\n'],
    ['no name', 'text\n\n\u2014  AAAAAAA=\n'],
    ['a key hash without a signature', 'text\n\n\u2014 a.b AAAAAA==\n'],
    ['base64 with bits to spare', 'text\n\n\u2014 a.b AAAAAAB=\n'],
    ['base64url', 'text\n\n\u2014 a.b AAAAA__=\n'],
    ['a carriage return', `text\r\n\n${line}`],
    ['a lone surrogate', `\ud800\n\n${line}`],
    ['no text at all', line],
  ];
  for (const [what, note] of broken) it(`are refused with ${what}`, () => assert.throws(() => openNote(note), { code: 'MALFORMED' }));

  it('have a bound', () => {
    assert.equal(openNote(`text\n\n${line}`).signatures.length, 1);
    assert.throws(() => openNote('x'.repeat(131_073)), { code: 'TOO_LARGE' });
  });
});

describe('checkpoints', () => {
  const note = signCheckpoint(checkpoint, alice);
  const bob = identityFromSeeds({ mldsaSeed: new Uint8Array(32).fill(3), ed25519Seed: new Uint8Array(32).fill(4) }, nobleMldsa);

  it('open to what was signed, and verify with the signer alone', () => {
    const opened = openCheckpoint(note);
    assert.deepEqual(opened.checkpoint, checkpoint);
    assert.equal(opened.signer, alice.fingerprint);
    assert.equal(verifyCheckpoint(opened, alice), true);
    assert.equal(verifyCheckpoint(opened, bob), false);
  });

  it('are tlog checkpoints: origin, size, root in base64, extension lines, none of them empty', () => {
    const [origin, size, root, ...extensions] = note.slice(0, note.indexOf('\n\n')).split('\n');
    assert.deepEqual([origin, size], [`starling/${SWARM}`, '70000']);
    assert.deepEqual(Buffer.from(root as string, 'base64'), Buffer.from(id(0x80), 'hex'));
    assert.deepEqual(extensions, ['epoch 7', `model ${id(0x82)}`]);
  });

  it('take cosignatures of others along, and fail on a false line of the signer', () => {
    const own = note.slice(note.indexOf('\u2014'));
    const witness = poem.slice(poem.indexOf('\u2014'));
    assert.equal(verifyCheckpoint(openCheckpoint(note + witness), alice), true);
    assert.equal(openCheckpoint(note.replace(own, witness + own)).signer, alice.fingerprint);
    const other = signCheckpoint({ ...checkpoint, epoch: 8 }, alice);
    assert.equal(verifyCheckpoint(openCheckpoint(note + other.slice(other.indexOf('\u2014'))), alice), false);
    assert.throws(() => openCheckpoint(note.replace(own, witness)), { code: 'MALFORMED' });
  });

  it('of another form are refused', () => {
    for (const [part, instead] of [
      ['starling/', 'sparrow/'],
      ['70000', '070000'],
      ['70000', '9999999999999999'],
      ['epoch 7', 'epoch -7'],
      ['epoch 7', 'epoch 07'],
      ['epoch 7\n', ''],
      ['epoch 7', 'epoch 7\nnote hello'],
      [id(0x82), id(0x82).toUpperCase().replace('82', 'AB')],
      ['gIA=\n', 'gIB=\n'],
    ] as const) {
      assert.ok(note.includes(part), part);
      assert.throws(
        () => openCheckpoint(note.replace(part, instead)),
        (e) => e instanceof StarlingError && e.code === 'MALFORMED',
        instead,
      );
    }
    assert.throws(() => openCheckpoint(behindTheSofa), { code: 'MALFORMED' });
  });
});
