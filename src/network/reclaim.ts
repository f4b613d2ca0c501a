import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { MIB } from '../spec/index.ts';

/**
 * Bytes of streams after which short-lived buffers are collected. Each byte passes through about three (socket, cipher, payload),
 * and after 64 MiB of buffers V8 marks the whole heap: 20 to 55 ms at a time, several times a second under bulk traffic, which is
 * more processor time than all the rest of that traffic. Measured with `npm run bench flow`: 8 and 16 MiB do the same, 32 nothing.
 */
export const RECLAIM_BYTES = 8 * MIB;

type Collect = (options: { readonly type: 'minor' }) => void;

/** To be told of every byte sent or received: frees buffers in step with the traffic. An idle node is left to V8. */
export function bufferReclaimer(collect: () => void = collectYoung): (bytes: number) => void {
  let passed = 0;
  return (bytes) => {
    passed += bytes;
    if (passed < RECLAIM_BYTES) return;
    passed = 0;
    collect();
  };
}

let collector: Collect | undefined;

/** A collection of what was made lately, some 1 ms; buffers that nobody holds any more are freed with it. */
export function collectYoung(): void {
  collector ??= v8Collector();
  collector({ type: 'minor' });
}

/** V8 gives its collector to contexts made while this flag is set; the globals of this process stay as they are. */
function v8Collector(): Collect {
  setFlagsFromString('--expose-gc');
  try {
    return runInNewContext('gc') as Collect;
  } finally {
    setFlagsFromString('--no-expose-gc');
  }
}
