import { wasmModule } from './assembler.ts';
import { KERNELS } from './kernels.ts';
import { DEGREE, ELEMENT_WORDS, MODULI } from './parameters.ts';
import { fieldOf, inverseOf, rootTable } from './roots.ts';

/** The exports of the module of kernels.ts. Addresses in bytes. */
export type KernelExports = {
  readonly memory: WebAssembly.Memory;
  reduce(to: number, from: number, q: number, n: number): void;
  transform(x: number, roots: number, q: number, n: number): void;
  multiplyAdd(sum: number, x: number, y: number, q: number, inverse: number, n: number): void;
};

/** Assembles, compiles and starts the kernels with `pages` x 64 KiB of memory: a kilobyte of code, about a millisecond. */
export function startKernels(pages: number): KernelExports {
  return new WebAssembly.Instance(new WebAssembly.Module(wasmModule(pages, KERNELS))).exports as KernelExports;
}

const POLYNOMIAL_BYTES = 4 * DEGREE;

/** The ring Z_m[X]/(X^2048 + 1), an element as its values modulo each prime; one memory, used by one call at a time. */
export class Ring {
  /** Coefficients to multiply, DEGREE int32s. */
  readonly coefficients: Int32Array;
  /** The factor, an element: ELEMENT_WORDS words. */
  readonly factor: Uint32Array;
  /** The sum, an element. */
  readonly sum: Uint32Array;
  readonly #kernels = startKernels(2);
  readonly #primes: readonly Prime[];
  readonly #work: number;

  constructor() {
    const { buffer } = this.#kernels.memory;
    let at = 0;
    const take = (bytes: number): number => {
      at += bytes;
      return at - bytes;
    };
    this.coefficients = new Int32Array(buffer, take(POLYNOMIAL_BYTES), DEGREE);
    this.factor = new Uint32Array(buffer, take(4 * ELEMENT_WORDS), ELEMENT_WORDS);
    this.sum = new Uint32Array(buffer, take(4 * ELEMENT_WORDS), ELEMENT_WORDS);
    this.#work = take(POLYNOMIAL_BYTES);
    this.#primes = MODULI.map((q, k) => {
      const roots = new Uint32Array(buffer, take(2 * POLYNOMIAL_BYTES), 2 * DEGREE);
      roots.set(rootTable(fieldOf(q, DEGREE)));
      const part = k * POLYNOMIAL_BYTES;
      const squared = Number(2n ** 64n % BigInt(q));
      return { q, inverse: inverseOf(q), squared, roots, factor: this.factor.byteOffset + part, sum: this.sum.byteOffset + part };
    });
  }

  /** sum += factor x coefficients / 2^32. */
  multiplyAdd(): void {
    for (const { q, inverse, roots, factor, sum } of this.#primes) {
      this.#kernels.reduce(this.#work, this.coefficients.byteOffset, q, DEGREE);
      this.#kernels.transform(this.#work, roots.byteOffset, q, DEGREE);
      this.#kernels.multiplyAdd(sum, this.#work, factor, q, inverse, DEGREE);
    }
  }

  /** sum = 2^32 factor: what the products were divided by comes back, once for all of them. */
  restore(): void {
    this.sum.fill(0);
    for (const { q, inverse, squared, factor, sum } of this.#primes) {
      new Uint32Array(this.sum.buffer, this.#work, DEGREE).fill(squared);
      this.#kernels.multiplyAdd(sum, this.#work, factor, q, inverse, DEGREE);
    }
  }
}

interface Prime {
  readonly q: number;
  /** 1/q modulo 2^32. */
  readonly inverse: number;
  /** 2^64 modulo q. */
  readonly squared: number;
  readonly roots: Uint32Array;
  /** Addresses of this prime's part of the factor and of the sum. */
  readonly factor: number;
  readonly sum: number;
}

let shared: Ring | undefined;
/** The one ring of this thread: every call writes what it reads, so nothing is left over between two users. */
export function theRing(): Ring {
  shared ??= new Ring();
  return shared;
}
