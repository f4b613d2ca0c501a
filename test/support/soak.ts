import { readdirSync, readFileSync } from 'node:fs';
import type { ApiClient } from '../../src/api/client.ts';
import { Random } from '../../src/learning/index.ts';
import { MIB, type TensorSpec } from '../../src/spec/index.ts';
import { encodeSafetensors } from '../../src/wire/index.ts';

/** How much of the machine a daemon holds on to. */
export interface Footprint {
  readonly minutes: number;
  readonly residentMib: number;
  readonly files: number;
  readonly streams: number;
  readonly timers: number;
}

/** Reads /proc and the daemon's own gauges. */
export async function footprint(pid: number, client: ApiClient, minutes: number): Promise<Footprint> {
  const metrics = (await client.call('metrics_get')) as { name: string; values: { value: number }[] }[];
  const gauge = (name: string): number => {
    const value = metrics.find((metric) => metric.name === `starling_${name}`)?.values[0]?.value;
    if (value === undefined) throw new Error(`the daemon has no gauge ${name}`);
    return value;
  };
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return {
    minutes,
    residentMib: (Number(kib) * 1024) / MIB,
    files: readdirSync(`/proc/${pid}/fd`).length,
    streams: gauge('open_streams'),
    timers: gauge('timers'),
  };
}

/** Of a line through these points by least squares. */
export function slopeOf(points: readonly (readonly [x: number, y: number])[]): number {
  const n = points.length;
  const meanX = points.reduce((sum, [x]) => sum + x, 0) / n;
  const meanY = points.reduce((sum, [, y]) => sum + y, 0) / n;
  const spread = points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
  return points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0) / spread;
}

/** An update that does not compress: a constant one would ride inside its gossip message. */
export function noisyUpdate(tensors: readonly TensorSpec[], seed: number): Uint8Array {
  const random = Random.from('noisy update', seed);
  return encodeSafetensors(
    tensors.map(({ name, shape }) => ({
      name,
      shape,
      values: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => (random.uniform() - 0.5) / 100),
    })),
  );
}
