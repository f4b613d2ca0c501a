import { Readable } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { StarlingError } from '../spec/errors.ts';
import { MIB } from '../spec/parameters.ts';
import { decodeSafetensors, matchTensors, safetensorsHead } from '../wire/safetensors.ts';
import { parseParams } from './params.ts';
import { Head } from './schemas.ts';
import type { NodeService } from './service.ts';

/** A query holds text; 15 digits stay below 2^53. */
const Digits = z
  .string()
  .regex(/^\d{1,15}$/, 'expected a whole number')
  .transform(Number);

const modelQuery = { name: 'GET /v1/model', params: z.strictObject({ head: Head.default('applied') }) };
const updateQuery = {
  name: 'POST /v1/updates',
  params: z.strictObject({
    epoch: Digits,
    kind: z.enum(['delta', 'parameters']).default('delta'),
    samples: Digits.refine((n) => n >= 1, 'expected at least 1'),
  }),
};
/** Names and figures of one update's metrics: they go into a ledger entry, which is at most 32 KiB. */
const METRICS_MAX = 16;
const metricsHeader = {
  name: 'x-starling-metrics',
  params: z.strictObject({
    metrics: z
      .record(z.string().min(1).max(64), z.number())
      .refine((m) => Object.keys(m).length <= METRICS_MAX, `expected at most ${METRICS_MAX}`),
  }),
};
/** Bytes beside the f32 values: the safetensors header, with room for the names of thousands of tensors. */
const HEADER_MAX_BYTES = MIB;

/** GET /v1/model and POST /v1/updates: tensors as safetensors, everything else in query and headers. */
export function modelRoutes(scope: FastifyInstance, service: NodeService): void {
  // The bound depends on the swarm's model, so the body is read here and not by fastify.
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser('*', (request, payload: Readable, done) => {
    const length = Number(request.headers['content-length'] ?? Number.NaN);
    readBody(payload, length, () => 4 * service.swarm().parameters + HEADER_MAX_BYTES).then((body) => done(null, body), done);
  });

  scope.get('/v1/model', async (request, reply) => {
    const { head } = parseParams(modelQuery, request.query as object);
    const { epoch, modelRoot, local, parts } = await service.modelValues(head);
    const { tensors, parameters } = service.swarm();
    const start = safetensorsHead(tensors, { epoch: String(epoch), modelRoot });
    return reply
      .headers({
        'x-starling-epoch': epoch,
        'x-starling-model-root': modelRoot,
        ...(local ? { 'x-starling-local': 'diffusion' } : {}),
        'content-length': start.byteLength + 4 * parameters,
      })
      .type('application/octet-stream')
      .send(Readable.from(inPieces(start, parts), { objectMode: false }));
  });

  scope.post('/v1/updates', async (request) => {
    const { epoch, kind, samples } = parseParams(updateQuery, request.query as object);
    const metrics = readMetrics(request.headers[metricsHeader.name]);
    if (!(request.body instanceof Uint8Array))
      throw new StarlingError('BAD_SAFETENSORS', 'the body is empty', { field: 'body', fix: 'send the update as safetensors' });
    const tensors = decodeSafetensors(request.body, request.body.byteLength); // bounded as it was read
    return service.submit({ epoch, kind, samples, metrics, values: matchTensors(service.swarm().tensors, tensors) });
  });
}

function readMetrics(header: string | string[] | undefined): Record<string, number> {
  if (header === undefined) return {};
  let metrics: unknown;
  try {
    metrics = JSON.parse(String(header));
  } catch (cause) {
    throw new StarlingError(
      'BAD_PARAMS',
      'x-starling-metrics is not JSON',
      { field: metricsHeader.name, fix: 'send an object of numbers, e.g. {"loss":0.3}' },
      { cause },
    );
  }
  return parseParams(metricsHeader, { metrics }).metrics;
}

/** As the reader takes them: a large model is nowhere as a whole. */
async function* inPieces(head: Uint8Array, parts: AsyncIterable<Float32Array>): AsyncGenerator<Uint8Array> {
  yield head;
  for await (const { buffer, byteOffset, byteLength } of parts) yield new Uint8Array(buffer, byteOffset, byteLength);
}

/**
 * Bytes beyond what is taken that are read all the same, and kept nowhere: who still writes when its connection is closed sees that it broke
 * off, and not why.
 */
const DISCARDED_MAX_BYTES = 64 * MIB;

/** `length`: what the client says it sends, NaN where it does not: that much is read into its place, not pieced together. */
async function readBody(payload: Readable, length: number, bound: () => number): Promise<Uint8Array> {
  const maxBytes = bound();
  const tooLarge = (): StarlingError =>
    new StarlingError('TOO_LARGE', `the body is larger than ${maxBytes} bytes`, {
      field: 'body',
      fix: "send the swarm's tensors alone, as f32",
    });
  if (length > maxBytes + DISCARDED_MAX_BYTES) throw tooLarge();
  const whole = Number.isSafeInteger(length) && length <= maxBytes ? new Uint8Array(length) : undefined;
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of payload as AsyncIterable<Buffer>) {
    bytes += chunk.byteLength;
    if (bytes > maxBytes + DISCARDED_MAX_BYTES) throw tooLarge();
    if (length > maxBytes || bytes > maxBytes) chunks.length = 0;
    else if (whole === undefined) chunks.push(chunk);
    else whole.set(chunk, bytes - chunk.byteLength); // HTTP ends a body at its length
  }
  if (length > maxBytes || bytes > maxBytes) throw tooLarge();
  if (whole !== undefined) return whole.subarray(0, bytes);
  const body = Buffer.concat(chunks, bytes);
  return new Uint8Array(body.buffer, body.byteOffset, bytes); // a Buffer's slice() shares memory, a Uint8Array's copies
}
