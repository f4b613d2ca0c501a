/** What the benches use of hypercore 11, which ships no types. */
declare module 'hypercore' {
  import type { Duplex } from 'node:stream';

  export default class Hypercore {
    /** A core in a folder; `key` makes it a replica of another one. */
    constructor(folder: string, key?: Uint8Array);
    readonly key: Uint8Array;
    readonly length: number;
    readonly contiguousLength: number;
    ready(): Promise<void>;
    append(blocks: Uint8Array | readonly Uint8Array[]): Promise<unknown>;
    update(options: { wait: boolean }): Promise<boolean>;
    download(range: { start: number; end: number }): { done(): Promise<void> };
    replicate(isInitiator: boolean): Duplex;
    close(): Promise<void>;
  }
}
