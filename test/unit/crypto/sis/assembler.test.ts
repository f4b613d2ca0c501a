import assert from 'node:assert/strict';
import fc from 'fast-check';
import { block, I32, i32, i32x4, v128, type WasmFunction, wasmFunction, wasmModule } from '../../../../src/crypto/sis/assembler.ts';
import { KERNELS } from '../../../../src/crypto/sis/kernels.ts';

interface Exports {
  readonly memory: WebAssembly.Memory;
  run(...parameters: number[]): void;
}
const start = (run: WasmFunction): Exports =>
  new WebAssembly.Instance(new WebAssembly.Module(wasmModule(1, [run]))).exports as unknown as Exports;

describe('assembler', () => {
  it('writes a module that validates', () => {
    assert.ok(WebAssembly.validate(wasmModule(2, KERNELS)));
  });

  it('writes every int32 constant, whatever bytes it takes', () => {
    const edges = fc.constantFrom(0, 63, 64, -64, -65, 127, 128, 8191, 8192, -8193, 2 ** 31 - 1, -(2 ** 31));
    fc.assert(
      fc.property(fc.oneof(edges, fc.integer()), (value) => {
        const { memory, run } = start(wasmFunction('run', 0, () => v128.store(i32.const(16), i32x4.splat(i32.const(value)))));
        run();
        assert.deepEqual([...new Int32Array(memory.buffer, 16, 4)], [value, value, value, value]);
      }),
      { numRuns: 100 },
    );
  });

  it('tells parameters from variables, beyond the first 128 too', () => {
    const write = wasmFunction('run', 1, ([given], variable) => {
      const many = Array.from({ length: 200 }, () => variable(I32));
      const last = many.at(-1);
      if (given === undefined || last === undefined) throw new Error('no locals');
      return block(last.set(i32.add(given.get, i32.const(1))), v128.store(i32.const(0), i32x4.splat(i32.add(given.get, last.get))));
    });
    const { memory, run } = start(write);
    run(20);
    assert.equal(new Int32Array(memory.buffer)[0], 41);
  });
});
