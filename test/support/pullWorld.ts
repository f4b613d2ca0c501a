import { type ContentIndex, chunkAt, contentOf } from '../../src/crypto/index.ts';
import type { Streams } from '../../src/epoch/ports.ts';
import type { PullOptions } from '../../src/epoch/pull.ts';
import { Pulls } from '../../src/epoch/pulls.ts';
import { serveContent } from '../../src/epoch/served.ts';
import { Random } from '../../src/learning/index.ts';
import { VirtualClock } from '../../src/simulation/clock.ts';
import { type ContentRoot, type PeerId, StarlingError } from '../../src/spec/index.ts';

/** How a node answers: as it should, never, or with other bytes. */
export type Manner = 'honest' | 'gone' | 'stalls' | 'lies';

export interface Puller {
  readonly peer: PeerId;
  manner: Manner;
  readonly pulls: Pulls;
  /** What it has got. */
  content: Uint8Array | undefined;
  /** Bytes that it has sent in answers, and chunks that others asked of it. */
  sent: number;
  asked: number;
  /** Of its way out. */
  bytesPerMs: number;
  readonly serve: ReturnType<typeof serveContent>;
  /** Its way out is busy until then. */
  freeAtMs: number;
}

/** Nodes that pull one content from each other and from its author over links of one speed, in virtual time. */
export class PullWorld {
  readonly clock = new VirtualClock();
  readonly nodes: Puller[] = [];
  readonly root: ContentRoot;
  readonly content: Uint8Array;
  readonly #index: ContentIndex;
  readonly #random: Random;
  readonly #bytesPerMs: number;
  readonly #delayMs: number;

  /** Node 0 is the author. */
  constructor(nodes: number, content: Uint8Array, seed: number, link = { bytesPerMs: 12_500, delayMs: 10 }) {
    this.content = content;
    this.#index = contentOf(content);
    this.root = this.#index.root;
    this.#random = Random.from('pull world', seed);
    this.#bytesPerMs = link.bytesPerMs;
    this.#delayMs = link.delayMs;
    for (let i = 0; i < nodes; i++) this.nodes.push(this.#node(`${i}`));
    (this.nodes[0] as Puller).content = content;
  }

  get author(): Puller {
    return this.nodes[0] as Puller;
  }

  get others(): readonly Puller[] {
    return this.nodes.slice(1);
  }

  /** Node `i` begins; the author and then all others are asked, in an order of its own. */
  async pull(node: Puller, options: Partial<PullOptions> = {}): Promise<Uint8Array> {
    const others = this.others.filter((other) => other !== node).map((other) => ({ other, place: this.#random.uniform() }));
    const peers = [this.author, ...others.sort((a, b) => a.place - b.place).map(({ other }) => other)].map(({ peer }) => peer);
    const uniform = () => this.#random.uniform();
    node.content = await node.pulls.pull(this.#streams(node), () => peers, this.root, this.content.byteLength, {
      timeoutMs: 3_000,
      uniform,
      ...options,
    });
    return node.content;
  }

  /** Runs until all of these have ended, or an hour. */
  async until(work: readonly Promise<unknown>[]): Promise<boolean> {
    let left = work.length;
    for (const one of work)
      one.then(
        () => left--,
        () => left--,
      );
    return await this.clock.runUntil(() => left === 0, this.clock.nowMs() + 3_600_000);
  }

  #node(peer: PeerId): Puller {
    const pulls = new Pulls(this.clock);
    const partial = () => (node.content === undefined ? pulls.partial(this.root) : undefined);
    const serve = serveContent({
      index: async () => (node.content === undefined ? partial()?.index : this.#index),
      readChunk: async (_root, i) => (node.content === undefined ? partial()?.chunk(i) : chunkAt(node.content, i)),
      held: () => partial()?.held,
    });
    const node: Puller = {
      peer,
      manner: 'honest',
      pulls,
      content: undefined,
      sent: 0,
      asked: 0,
      bytesPerMs: this.#bytesPerMs,
      freeAtMs: 0,
      serve,
    };
    return node;
  }

  #streams(asker: Puller): Pick<Streams, 'request'> {
    return {
      request: (peer, _protocol, payload, { timeoutMs, signal }) =>
        new Promise((resolve, reject) => {
          const node = this.nodes[Number(peer)] as Puller;
          const late = this.clock.after(timeoutMs, () => reject(new StarlingError('PEER_TIMEOUT', 'late', { peer })));
          const end = (finish: () => void): void => {
            late.cancel();
            finish();
          };
          signal?.addEventListener('abort', () => end(() => reject(signal.reason)));
          this.clock.after(
            this.#delayMs,
            () =>
              void this.#answer(node, asker, payload).then(
                (bytes) => this.#send(node, bytes.byteLength, () => end(() => resolve(bytes))),
                (error: StarlingError | undefined) => {
                  if (error === undefined) return;
                  const refused = new StarlingError('PEER_REFUSED', error.message, { peer, reason: error.code });
                  this.#send(node, 100, () => end(() => reject(refused)));
                },
              ),
          );
        }),
    };
  }

  /** Throws undefined where nothing is answered. */
  async #answer(node: Puller, from: Puller, payload: Uint8Array): Promise<Uint8Array> {
    if (node.manner === 'gone' || node.manner === 'stalls') throw undefined;
    const bytes = await node.serve(from.peer, payload);
    if (bytes.byteLength < 200_000) return bytes;
    node.asked += 1;
    return node.manner === 'lies' ? bytes.with(0, (bytes[0] as number) ^ 1) : bytes;
  }

  #send(node: Puller, bytes: number, arrive: () => void): void {
    node.sent += bytes;
    node.freeAtMs = Math.max(node.freeAtMs, this.clock.nowMs()) + bytes / node.bytesPerMs;
    this.clock.after(node.freeAtMs - this.clock.nowMs() + this.#delayMs, () => {
      if (node.manner !== 'gone') arrive();
    });
  }
}
