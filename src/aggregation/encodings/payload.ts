/**
 * The form in which the updates of a swarm travel, fixed in its genesis (PROTOCOL section 4). Whatever the form, an update is a row of
 * integers: that row is committed to, added up and checked; the payload is its shortest way from one node to another.
 */
import type { IntRow } from '../../compute/api.ts';
import { type Genesis, StarlingError } from '../../spec/index.ts';
import { bytesOf, dtypeBytes, integersOf } from '../integers.ts';
import type { TensorSpan } from '../layout.ts';
import { decodeSigns, encodeSigns, signsOf, valuesOf } from './signs.ts';
import { decodeSparse, denseOf, encodeSparse, SPARSE_HEAD_BYTES, topK } from './topK.ts';

export type UpdateForm = Pick<Genesis, 'encoding' | 'topkShare' | 'updateDtype'>;

/** Bytes of a place among fewer than 2^28 as a difference. */
const PLACE_MAX_BYTES = 4;

/**
 * What of a prepared row the others get to add up: all of it; the largest of each tensor and zeros; or the signs at the mean magnitude
 * of each tensor. Same type and length; the rest stays in the residual.
 */
export function sentOf(row: IntRow, spans: readonly TensorSpan[], form: UpdateForm): IntRow {
  if (form.encoding === 'dense') return row;
  if (form.encoding === 'sign') return valuesOf(signsOf(row, spans), spans, form.updateDtype);
  const sent = row.slice();
  for (const span of spans) {
    const part = row.subarray(span.start, span.end);
    sent.set(denseOf(topK(part, keptOf(span, form)), part.length), span.start);
  }
  return sent;
}

/** `sent` as `sentOf` makes it. */
export function encodePayload(sent: IntRow, spans: readonly TensorSpan[], { encoding }: UpdateForm): Uint8Array {
  if (encoding === 'dense') return bytesOf(sent);
  return encoding === 'sign' ? encodeSigns(signsOf(sent, spans)) : encodeSparse(topK(sent, sent.length), sent.length);
}

/** Bytes that no payload of this form exceeds. */
export function payloadMaxBytes(spans: readonly TensorSpan[], form: UpdateForm): number {
  const elements = lengthOf(spans);
  const bitmap = Math.ceil(elements / 8);
  if (form.encoding === 'dense') return elements * dtypeBytes(form.updateDtype);
  if (form.encoding === 'sign') return 2 * spans.length + bitmap;
  const kept = mostKept(spans, form);
  return SPARSE_HEAD_BYTES + Math.min(PLACE_MAX_BYTES * kept, bitmap) + kept * dtypeBytes(form.updateDtype);
}

/** The row behind a payload. Throws MALFORMED, NON_CANONICAL or BOUNDS_EXCEEDED, before it takes more memory than the row. */
export function decodePayload(payload: Uint8Array, spans: readonly TensorSpan[], form: UpdateForm): IntRow {
  const elements = lengthOf(spans);
  if (form.encoding === 'sign') return valuesOf(decodeSigns(payload, elements, spans.length, form.updateDtype), spans, form.updateDtype);
  if (form.encoding === 'topk')
    return denseOf(decodeSparse(payload, { elements, kept: mostKept(spans, form), dtype: form.updateDtype }), elements);
  if (payload.byteLength !== elements * dtypeBytes(form.updateDtype))
    throw new StarlingError('MALFORMED', `${payload.byteLength} bytes for ${elements} integers`, { field: 'payload', phase: 'verify' });
  return integersOf(payload, form.updateDtype);
}

/** Integers of one tensor that travel: its share, rounded up so that no tensor is left out. */
const keptOf = ({ start, end }: TensorSpan, { topkShare }: UpdateForm): number => Math.ceil(topkShare * (end - start));

const mostKept = (spans: readonly TensorSpan[], form: UpdateForm): number => spans.reduce((sum, span) => sum + keptOf(span, form), 0);

const lengthOf = (spans: readonly TensorSpan[]): number => spans.at(-1)?.end ?? 0;
