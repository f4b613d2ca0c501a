import type { GPU, IKernelRunShortcut } from 'gpu.js';
import { StarlingError } from '../spec/index.ts';
import type { Backend, IntRow, Row } from './api.ts';
import type { KernelSource } from './kernels/source.ts';

export type GpuMode = Exclude<Backend, 'ts'>;
export type KernelArgument = number | Row | IntRow | readonly (Row | IntRow)[];

interface Entry {
  readonly kernel: IKernelRunShortcut;
  /** The mutex: resolves when the last run that was asked for is over. */
  tail: Promise<unknown>;
}

/** Compiled kernels of one mode, each built once, run one call at a time, and destroyed together. */
export interface KernelPool {
  /** Runs a kernel. Throws BACKEND_UNAVAILABLE where gpu.js fell back to another mode, or after `close`. */
  run(source: KernelSource, ...args: KernelArgument[]): Promise<Float32Array>;
  /** The modes that the kernels built so far really have, by gpu.js's own account. */
  modes(): ReadonlySet<string>;
  close(): Promise<void>;
}

/** Loads gpu.js (some 50 ms, so only where a kernel is wanted) and opens a pool for one explicit mode. */
export async function openKernelPool(mode: GpuMode): Promise<KernelPool> {
  const { GPU } = await import('gpu.js');
  // Never 'async' or 'gpu': they choose by themselves, and take a software adapter or the slow cpu mode.
  return createPool(mode, new GPU({ mode }));
}

function createPool(mode: GpuMode, gpu: GPU): KernelPool {
  const entries = new Map<string, Entry>();
  const modes = new Set<string>();
  let closed = false;

  async function runOnce({ kernel }: Entry, args: KernelArgument[]): Promise<Float32Array> {
    const result = await (kernel as (...args: unknown[]) => unknown)(...args);
    const actual = (kernel.kernel.constructor as { readonly mode?: string }).mode ?? 'unknown';
    modes.add(actual);
    if (actual !== mode || !(result instanceof Float32Array)) throw unavailable(mode, `gpu.js ran a kernel as ${actual}`);
    return result;
  }

  return {
    run: async (source, ...args) => {
      if (closed) throw unavailable(mode, 'closed');
      let entry = entries.get(source.name);
      if (entry === undefined) {
        entry = { kernel: gpu.createKernel(source.source, { output: [source.output], precision: 'single' }), tail: Promise.resolve() };
        entries.set(source.name, entry);
      }
      const own = entry;
      const result = own.tail.then(() => runOnce(own, args));
      own.tail = result.catch(() => undefined);
      return result;
    },
    modes: () => modes,
    close: async () => {
      closed = true;
      await Promise.all([...entries.values()].map((entry) => entry.tail));
      for (const { kernel } of entries.values()) kernel.destroy();
      entries.clear();
      await gpu.destroy();
    },
  };
}

function unavailable(mode: GpuMode, what: string): StarlingError {
  return new StarlingError('BACKEND_UNAVAILABLE', `${mode}: ${what}`, {
    field: 'compute.backend',
    fix: 'Use compute.backend = "ts" or "auto", and run starling doctor.',
  });
}
