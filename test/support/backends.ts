import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BACKENDS, type Backend } from '../../src/compute/api.ts';
import { createGpu, type GpuCompute } from '../../src/compute/gpu.ts';
import type { GpuMode } from '../../src/compute/kernelPool.ts';

/** SwiftShader, a software Vulkan driver, as Debian's chromium package ships it. It needs libvulkan1 as well. */
const SWIFTSHADER_ICD = '/usr/lib/chromium/vk_swiftshader_icd.json';

/** Points the Vulkan loader at SwiftShader, unless the environment already names a driver. Before Dawn loads. */
function useSoftwareVulkan(): void {
  if (process.env.VK_DRIVER_FILES === undefined && existsSync(SWIFTSHADER_ICD)) process.env.VK_DRIVER_FILES = SWIFTSHADER_ICD;
  if (process.env.XDG_RUNTIME_DIR === undefined) {
    const folder = mkdtempSync(join(tmpdir(), 'starling-xdg-'));
    process.env.XDG_RUNTIME_DIR = folder;
    process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  }
}

/** Backends that must run here, from TEST_REQUIRE_BACKENDS=ts,webasm,webgpu; CI names all three. */
export function requiredBackends(): Backend[] {
  const names = (process.env.TEST_REQUIRE_BACKENDS ?? '').split(',').filter((name) => name !== '');
  return names.map((name) => {
    const backend = BACKENDS.find((known) => known === name);
    if (backend === undefined) throw new Error(`TEST_REQUIRE_BACKENDS names an unknown backend: ${name}`);
    return backend;
  });
}

let detecting: Promise<ReadonlyMap<GpuMode, string>> | undefined;

/** The gpu.js modes that cannot run on this machine, and why; prints them the first time. */
export function unavailableModes(): Promise<ReadonlyMap<GpuMode, string>> {
  detecting ??= detect();
  return detecting;
}

async function detect(): Promise<ReadonlyMap<GpuMode, string>> {
  useSoftwareVulkan();
  const unavailable = new Map<GpuMode, string>();
  for (const mode of ['webasm', 'webgpu'] as const) {
    try {
      const compute = await createGpu(mode, true);
      await compute.dequantise(Int8Array.of(1), 1);
      await compute.close();
    } catch (e) {
      unavailable.set(mode, String(e));
      console.error(`backend ${mode} is unavailable here, its tests are not registered: ${String(e)}`);
    }
  }
  return unavailable;
}

/** The gpu.js modes that can run on this machine. */
export async function availableModes(): Promise<GpuMode[]> {
  const unavailable = await unavailableModes();
  return (['webasm', 'webgpu'] as const).filter((mode) => !unavailable.has(mode));
}

/** Registers `body` once for each gpu.js mode that can run here, with a `Compute` opened before and closed after. */
export function onEach(modes: readonly GpuMode[], body: (mode: GpuMode, compute: () => GpuCompute) => void): void {
  for (const mode of modes) {
    describe(`on ${mode}`, () => {
      let compute: GpuCompute;
      before(async () => {
        compute = await createGpu(mode, true);
      });
      after(() => compute.close());
      body(mode, () => compute);
    });
  }
}
