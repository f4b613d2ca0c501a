import {
  advance,
  block,
  type Code,
  I32,
  i32,
  i32x4,
  i64x2,
  type Local,
  loop,
  V128,
  v128,
  type WasmFunction,
  wasmFunction,
} from './assembler.ts';

/**
 * Arithmetic modulo a prime q < 2^31 on vectors of four 32-bit lanes. Residues are in [0, q); what leaves that range by one q wraps
 * around modulo 2^32 and is larger than what does not, so that the smaller of two candidates is the residue.
 *
 * The bytes of an expression are repeated wherever it is used: pass `x.get` of a Local, not a computation, where it is used twice.
 */
const below = (q: Local, sum: Local): Code => i32x4.min(sum.get, i32x4.sub(sum.get, q.get));
const atLeastZero = (q: Local, difference: Local): Code => i32x4.min(difference.get, i32x4.add(difference.get, q.get));

/** The upper halves of the four 64-bit products of `a` and `b`. */
const mulHigh = (a: Code, b: Code): Code => i32x4.shuffle([1, 3, 5, 7], i64x2.mulLow(a, b), i64x2.mulHigh(a, b));

interface Butterfly {
  readonly u: Local;
  readonly v: Local;
  readonly root: Local;
  readonly companion: Local;
  readonly q: Local;
  readonly temporary: Local;
}

/**
 * u, v = u + v root, u - v root. The product with a constant w < q as Shoup does it (Harvey, "Faster arithmetic for
 * number-theoretic transforms", 2014, section 2): with the companion w' = floor(2^32 w / q) and e = floor(v w' / 2^32),
 * v w - e q is in [0, 2q) for any v < 2^32.
 */
const butterfly = ({ u, v, root, companion, q, temporary: t }: Butterfly): Code =>
  block(
    t.set(i32x4.sub(i32x4.mul(v.get, root.get), i32x4.mul(mulHigh(v.get, companion.get), q.get))),
    t.set(below(q, t)),
    v.set(i32x4.sub(u.get, t.get)),
    v.set(atLeastZero(q, v)),
    t.set(i32x4.add(u.get, t.get)),
    u.set(below(q, t)),
  );

/** reduce(to, from, q, n): n int32s to their residues, for 2^30 < q < 2^31 or numbers of less than q. */
const reduce = wasmFunction('reduce', 4, ([to, from, prime, n], variable) => {
  const [end, q, t] = [variable(I32), variable(V128), variable(V128)];
  const [source, target] = [from as Local, to as Local];
  return block(
    q.set(i32x4.splat((prime as Local).get)),
    end.set(i32.add(source.get, i32.shiftLeft((n as Local).get, i32.const(2)))),
    advance(
      source,
      16,
      end.get,
      block(
        t.set(v128.load(source.get)),
        // A negative number plus 2q is in [0, 2^32), as -2^31 + 2q > 0.
        t.set(i32x4.add(t.get, v128.and(i32x4.sign(t.get), i32x4.add(q.get, q.get)))),
        v128.store(target.get, below(q, t)),
        target.set(i32.add(target.get, i32.const(16))),
      ),
    ),
  );
});

/**
 * transform(x, roots, q, n): n residues, coefficients of a polynomial modulo X^n + 1, become its values at psi^(2 bitrev(i) + 1),
 * in place. Cooley and Tukey's butterflies in the order of FIPS 204 algorithm 41; `roots` is rootTable's. n is a power of two from 8 on.
 */
const transform = wasmFunction('transform', 4, ([x, roots, prime, n], variable) => {
  const [start, root0, length] = [x as Local, roots as Local, n as Local];
  const [p, end, half, stop, companions] = [variable(I32), variable(I32), variable(I32), variable(I32), variable(I32)];
  const [u, v, root, companion, q, temporary] = [
    variable(V128),
    variable(V128),
    variable(V128),
    variable(V128),
    variable(V128),
    variable(V128),
  ];
  const step = butterfly({ u, v, root, companion, q, temporary });
  const later = (pointer: Local, bytes: number): Code => i32.add(pointer.get, i32.const(bytes));
  const loadRoots = (load: (address: Code) => Code, used: number): Code =>
    block(
      root.set(load(root0.get)),
      companion.set(load(i32.add(root0.get, companions.get))),
      root0.set(i32.add(root0.get, i32.const(used))),
    );
  /** Two vectors hold both inputs of their butterflies: `pick` and `rest` take them out, `low` and `high` put them back. */
  const within = (pick: number[], rest: number[], low: number[], high: number[], rootsOf: Code): Code =>
    block(
      p.set(start.get),
      advance(
        p,
        32,
        end.get,
        block(
          rootsOf,
          temporary.set(v128.load(p.get)),
          v.set(v128.load(later(p, 16))),
          u.set(i32x4.shuffle(pick, temporary.get, v.get)),
          v.set(i32x4.shuffle(rest, temporary.get, v.get)),
          step,
          v128.store(p.get, i32x4.shuffle(low, u.get, v.get)),
          v128.store(later(p, 16), i32x4.shuffle(high, u.get, v.get)),
        ),
      ),
    );
  const twice = (address: Code): Code => i32x4.shuffle([0, 0, 1, 1], v128.loadHalf(address), v128.loadHalf(address));
  return block(
    q.set(i32x4.splat((prime as Local).get)),
    companions.set(i32.shiftLeft(length.get, i32.const(2))),
    end.set(i32.add(start.get, companions.get)),
    half.set(i32.shiftLeft(length.get, i32.const(1))),
    root0.set(later(root0, 4)), // the first is 1 and not used
    // Layers whose butterflies lie a vector or more apart, `half` bytes.
    loop(
      block(
        p.set(start.get),
        loop(
          block(
            loadRoots(v128.loadSplat, 4),
            stop.set(i32.add(p.get, half.get)),
            advance(
              p,
              16,
              stop.get,
              block(
                u.set(v128.load(p.get)),
                v.set(v128.load(i32.add(p.get, half.get))),
                step,
                v128.store(p.get, u.get),
                v128.store(i32.add(p.get, half.get), v.get),
              ),
            ),
            p.set(i32.add(p.get, half.get)),
          ),
          i32.lessThan(p.get, end.get),
        ),
        half.set(i32.shiftRight(half.get, i32.const(1))),
      ),
      i32.lessThan(i32.const(15), half.get),
    ),
    within([0, 1, 4, 5], [2, 3, 6, 7], [0, 1, 4, 5], [2, 3, 6, 7], loadRoots(twice, 8)),
    within([0, 2, 4, 6], [1, 3, 5, 7], [0, 4, 1, 5], [2, 6, 3, 7], loadRoots(v128.load, 16)),
  );
});

/**
 * multiplyAdd(sum, x, y, q, inverse, n): sum += x y / 2^32 for n residues each, inverse = 1/q modulo 2^32. Montgomery, "Modular
 * multiplication without trial division", 1985: x y minus the multiple of q that has the same lower half leaves the upper half.
 */
const multiplyAdd = wasmFunction('multiplyAdd', 6, ([sum, x, y, prime, inverse, n], variable) => {
  const [total, left, right] = [sum as Local, x as Local, y as Local];
  const [end, a, b, t, q, qInverse] = [variable(I32), variable(V128), variable(V128), variable(V128), variable(V128), variable(V128)];
  const next = (pointer: Local): Code => pointer.set(i32.add(pointer.get, i32.const(16)));
  return block(
    q.set(i32x4.splat((prime as Local).get)),
    qInverse.set(i32x4.splat((inverse as Local).get)),
    end.set(i32.add(total.get, i32.shiftLeft((n as Local).get, i32.const(2)))),
    advance(
      total,
      16,
      end.get,
      block(
        a.set(v128.load(left.get)),
        b.set(v128.load(right.get)),
        t.set(i32x4.mul(i32x4.mul(a.get, b.get), qInverse.get)),
        t.set(i32x4.sub(mulHigh(a.get, b.get), mulHigh(t.get, q.get))),
        t.set(atLeastZero(q, t)),
        t.set(i32x4.add(t.get, v128.load(total.get))),
        v128.store(total.get, below(q, t)),
        next(left),
        next(right),
      ),
    ),
  );
});

export const KERNELS: readonly WasmFunction[] = [reduce, transform, multiplyAdd];
