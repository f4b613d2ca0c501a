/**
 * As much of a WebAssembly assembler as the kernels here need: an expression is the bytes that leave its value on the stack
 * (WebAssembly Core Specification 2.0, section 5, binary format; opcodes of section 5.4, vectors in 5.4.8). Functions take i32s
 * and return nothing.
 */
export type Code = readonly number[];

export const I32 = 0x7f;
export const V128 = 0x7b;

/** A parameter or variable of a function. */
export interface Local {
  readonly get: Code;
  set(value: Code): Code;
  /** Sets it and leaves the value. */
  tee(value: Code): Code;
}

export interface WasmFunction {
  readonly name: string;
  readonly parameters: number;
  readonly variables: readonly number[];
  readonly body: Code;
}

/** Unsigned LEB128 of an integer below 2^31. */
function unsigned(value: number): Code {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(value >>> 7)];
}

/** Signed LEB128 of an int32. */
function signed(value: number): Code {
  const rest = value >> 7;
  const last = (rest === 0 && (value & 0x40) === 0) || (rest === -1 && (value & 0x40) !== 0);
  return last ? [value & 0x7f] : [(value & 0x7f) | 0x80, ...signed(rest)];
}

const instruction =
  (...opcode: number[]) =>
  (...operands: readonly Code[]): Code => [...operands.flat(), ...opcode];
const vector = (opcode: number, ...immediates: number[]) => instruction(0xfd, ...unsigned(opcode), ...immediates);

/** Immediates of an access to memory: nothing is said of its alignment, offset 0. */
const ANYWHERE = [0, 0] as const;

export const i32 = {
  const: (value: number): Code => [0x41, ...signed(value)],
  lessThan: instruction(0x49), // unsigned
  add: instruction(0x6a),
  shiftLeft: instruction(0x74),
  shiftRight: instruction(0x76), // unsigned
};
export const v128 = {
  load: vector(0x00, ...ANYWHERE),
  /** The 32 bits at an address, in each lane. */
  loadSplat: vector(0x09, ...ANYWHERE),
  /** The 64 bits at an address, in the lower half. */
  loadHalf: vector(0x5d, ...ANYWHERE),
  store: vector(0x0b, ...ANYWHERE),
  and: vector(0x4e),
};
export const i32x4 = {
  splat: vector(0x11),
  /** All bits of a lane become its sign. */
  sign: (value: Code): Code => vector(0xac)(value, i32.const(31)),
  add: vector(0xae),
  sub: vector(0xb1),
  mul: vector(0xb5), // the lower 32 bits
  min: vector(0xb7), // unsigned
  /** The lanes numbered `lanes` of `a` (0 to 3) and `b` (4 to 7). */
  shuffle: (lanes: readonly number[], a: Code, b: Code): Code =>
    vector(0x0d, ...lanes.flatMap((lane) => [4 * lane, 4 * lane + 1, 4 * lane + 2, 4 * lane + 3]))(a, b),
};
/** 64-bit products of the lower, and of the upper two lanes, unsigned. */
export const i64x2 = { mulLow: vector(0xde), mulHigh: vector(0xdf) };

/** Statements one after another. */
export const block = (...statements: readonly Code[]): Code => statements.flat();

/** Runs `body`, and again while `condition` holds after it. */
export const loop = (body: Code, condition: Code): Code => [0x03, 0x40, ...body, ...condition, 0x0d, 0x00, 0x0b];

/** Runs `body` and adds `step` to `pointer`, until it has reached `end`; at least once. */
export const advance = (pointer: Local, step: number, end: Code, body: Code): Code =>
  loop(block(body, pointer.set(i32.add(pointer.get, i32.const(step)))), i32.lessThan(pointer.get, end));

/** A function of `parameters` i32s; `write` gets those and a way to make variables, and returns the body. */
export function wasmFunction(
  name: string,
  parameters: number,
  write: (parameters: readonly Local[], variable: (type: number) => Local) => Code,
): WasmFunction {
  const variables: number[] = [];
  const variable = (type: number): Local => local(parameters + variables.push(type) - 1);
  const body = write(
    Array.from({ length: parameters }, (_, i) => local(i)),
    variable,
  );
  return { name, parameters, variables, body };
}

function local(index: number): Local {
  const at = unsigned(index);
  return { get: [0x20, ...at], set: (value) => [...value, 0x21, ...at], tee: (value) => [...value, 0x22, ...at] };
}

const sized = (content: Code): Code => [...unsigned(content.length), ...content];
const list = (items: readonly Code[]): Code => [...unsigned(items.length), ...items.flat()];
const section = (id: number, items: readonly Code[]): Code => [id, ...sized(list(items))];
const exported = (name: string, kind: number, index: number): Code => [...sized([...Buffer.from(name)]), kind, ...unsigned(index)];

/** A module with these functions and a memory of `pages` x 64 KiB, exported by name, the memory as `memory`. */
export function wasmModule(pages: number, functions: readonly WasmFunction[]): Uint8Array<ArrayBuffer> {
  const types = functions.map(({ parameters }): Code => [0x60, ...list(Array<Code>(parameters).fill([I32])), 0]);
  const codes = functions.map(({ variables, body }) => sized([...list(variables.map((type): Code => [1, type])), ...body, 0x0b]));
  return Uint8Array.of(
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0], // "\0asm", version 1
    ...section(1, types),
    ...section(
      3,
      functions.map((_, i) => unsigned(i)),
    ),
    ...section(5, [[0, ...unsigned(pages)]]),
    ...section(7, [exported('memory', 2, 0), ...functions.map(({ name }, i) => exported(name, 0, i))]),
    ...section(10, codes),
  );
}
