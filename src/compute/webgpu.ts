import { StarlingError } from '../spec/index.ts';

/**
 * WebGPU under Node, from the `webgpu` package (Dawn). gpu.js asks `navigator.gpu` for one device a process; we provide
 * that object, so that we choose the adapter, hear of errors that gpu.js would answer with zeros, and can give it back.
 */

const SOFTWARE = /swiftshader|llvmpipe|lavapipe/i;

interface Shared {
  readonly adapter: GPUAdapter;
  readonly name: string;
  readonly software: boolean;
  device: GPUDevice | undefined;
  failure: string | undefined;
  users: number;
}

export interface WebGpu {
  /** Vendor, architecture and description of the adapter. */
  readonly adapter: string;
  /** True where the adapter runs on the CPU. */
  readonly software: boolean;
  /** What went wrong on the device so far, if anything: results after that are not to be trusted. */
  failure(): string | undefined;
  /** Ends this use; the last one destroys the device. */
  release(): Promise<void>;
}

let instance: GPU | undefined; // for good: Dawn crashes where its instance is collected before its devices
let opening: Promise<Shared> | undefined;
let closing: Promise<unknown> = Promise.resolve();

/**
 * The process's WebGPU device. Throws BACKEND_UNAVAILABLE where the `webgpu` package or an adapter is missing, and,
 * unless `force`d, where the only adapter is software: it is far slower than plain loops.
 */
export async function acquireWebGpu(force: boolean): Promise<WebGpu> {
  opening ??= open();
  let shared: Shared;
  try {
    shared = await opening;
  } catch (e) {
    opening = undefined;
    throw e;
  }
  if (shared.software && !force) {
    if (shared.users === 0) close(shared);
    throw unavailable(
      `the only adapter is software (${shared.name})`,
      'Use a machine with a GPU, or force it with compute.backend = "webgpu".',
    );
  }
  shared.users++;
  let released = false;
  return {
    adapter: shared.name,
    software: shared.software,
    failure: () => shared.failure,
    release: async () => {
      if (released) return;
      released = true;
      shared.users--;
      if (shared.users > 0) return;
      close(shared);
      await closing;
    },
  };
}

async function open(): Promise<Shared> {
  await closing;
  const dawn = await import('webgpu').catch((e: unknown) => {
    throw unavailable(`the webgpu package does not load (${String(e)})`, 'Run npm install on a platform that webgpu supports.');
  });
  instance ??= dawn.create([]);
  const adapter = await instance.requestAdapter({ powerPreference: 'high-performance' });
  if (adapter === null) {
    throw unavailable('no adapter', 'Install the GPU driver and libvulkan1, or use compute.backend = "auto".');
  }
  const { vendor, architecture, device, description, isFallbackAdapter } = adapter.info;
  const name = [vendor, architecture, description || device].filter(Boolean).join(' ');
  const software = isFallbackAdapter || SOFTWARE.test(`${name} ${device}`);
  const shared: Shared = { adapter, name, software, device: undefined, failure: undefined, users: 0 };
  Object.defineProperty(globalThis.navigator, 'gpu', { configurable: true, value: { requestAdapter: async () => asSeenByGpuJs(shared) } });
  return shared;
}

function close({ device }: Shared): void {
  opening = undefined;
  Reflect.deleteProperty(globalThis.navigator, 'gpu');
  device?.destroy();
  // gpu.js forgets its device when it hears of the loss; only then may the next one be asked for.
  closing = Promise.resolve(device?.lost);
}

/** What gpu.js uses of an adapter. */
function asSeenByGpuJs(shared: Shared): Pick<GPUAdapter, 'limits' | 'requestDevice'> {
  return {
    limits: shared.adapter.limits,
    requestDevice: async (descriptor) => {
      const device = await shared.adapter.requestDevice(descriptor);
      shared.device = device;
      device.addEventListener('uncapturederror', (event) => {
        shared.failure ??= event.error.message;
      });
      void device.lost.then((info) => {
        shared.failure ??= `device lost: ${info.message}`;
      });
      return device;
    },
  };
}

function unavailable(what: string, fix: string): StarlingError {
  return new StarlingError('BACKEND_UNAVAILABLE', `webgpu: ${what}`, { field: 'compute.backend', fix });
}
