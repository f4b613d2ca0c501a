import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import fastify, { type FastifyInstance } from 'fastify';
import { METHODS } from '../../../src/api/methods/index.ts';
import { openRpcDocument } from '../../../src/api/openrpc.ts';

/** The meta-schema of github.com/open-rpc/meta-schema (Apache-2.0); fastify validates with Ajv. */
const META = readFileSync(new URL('../../vectors/api/openrpc.schema.json', import.meta.url), 'utf8');
/** Its own name for JSON Schema; Ajv carries the same under the official one. */
const ALIAS = /https:\/\/meta\.json-schema\.tools\/?#?(\/definitions\/JSONSchemaObject)?/g;

describe('OpenRPC document', () => {
  let app: FastifyInstance;

  before(async () => {
    const meta = JSON.parse(META.replaceAll(ALIAS, 'http://json-schema.org/draft-07/schema#'));
    meta.properties.openrpc.enum = ['1.3.2']; // a release fills in its own versions
    app = fastify({ ajv: { customOptions: { removeAdditional: false, useDefaults: false, coerceTypes: false, strict: false } } });
    app.post('/', { schema: { body: meta } }, async () => 'valid');
    await app.ready();
  });
  after(() => app.close());

  const check = async (document: object) => {
    const { statusCode, body } = await app.inject({ method: 'POST', url: '/', payload: document });
    return statusCode === 200 ? 'valid' : body;
  };

  it('satisfies the meta-schema of OpenRPC 1.3', async () => {
    assert.equal(await check(openRpcDocument(METHODS, '0.1.0')), 'valid');
  });

  it('would be refused with a field the meta-schema does not know, or a schema that is none', async () => {
    const document = openRpcDocument(METHODS, '0.1.0');
    assert.notEqual(await check({ ...document, paths: {} }), 'valid');
    const broken = structuredClone(document) as { methods: { params: { schema: unknown }[] }[] };
    for (const method of broken.methods) for (const param of method.params) param.schema = { type: 'hex' };
    assert.notEqual(await check(broken), 'valid');
  });

  it('names every method once, and required parameters before optional ones', () => {
    const { methods } = openRpcDocument(METHODS, '0.1.0') as { methods: { name: string; params: { name: string; required: boolean }[] }[] };
    assert.equal(new Set(methods.map(({ name }) => name)).size, METHODS.length);
    for (const { name, params } of methods) {
      const required = params.map((param) => param.required);
      assert.deepEqual(
        required,
        [...required].sort((a, b) => Number(b) - Number(a)),
        name,
      );
    }
    const wait = methods.find(({ name }) => name === 'epoch_wait');
    assert.deepEqual(
      wait?.params.map(({ name, required }) => [name, required]),
      [
        ['epoch', true],
        ['timeoutMs', false],
      ],
    );
  });
});
