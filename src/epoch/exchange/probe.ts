/** Whom this node reaches: something there and back, from every member at once. */
import type { Fingerprint, Hex } from '../../spec/index.ts';
import { ask } from './ask.ts';
import type { ExchangeWorld } from './world.ts';

/** Members that did not send `bytes` bytes back in time, ascending. */
async function unreachable(
  world: ExchangeWorld,
  members: readonly Fingerprint[],
  bytes: number,
  timeoutMs: number,
): Promise<Fingerprint[]> {
  const message = { kind: 'probe', bytes: new Uint8Array(bytes) } as const;
  const answers = await Promise.all(members.map((member) => ask(world, member, message, { timeoutMs })));
  return members.filter((_, i) => answers[i]?.bytes.byteLength !== bytes).sort();
}

/** Probes of one attempt: at most one a deadline, whoever asks for it. */
export class Probe {
  readonly #world: ExchangeWorld;
  readonly #attempt: Hex;
  readonly #members: readonly Fingerprint[];
  readonly #bytes: number;
  #sinceMs = Number.NEGATIVE_INFINITY;
  #found: Promise<Fingerprint[]> = Promise.resolve([]);

  #alarmedMs = Number.NEGATIVE_INFINITY;

  /** `attempt`: its id. `members`: the others. `bytes`: what a link must carry there and back in half a deadline. */
  constructor(world: ExchangeWorld, attempt: Hex, members: readonly Fingerprint[], bytes: number) {
    this.#world = world;
    this.#attempt = attempt;
    this.#members = members;
    this.#bytes = bytes;
  }

  /** Members out of reach, as a probe finds that began within the last deadline. */
  within(deadlineMs: number): Promise<Fingerprint[]> {
    const nowMs = this.#world.clock.nowMs();
    if (nowMs - this.#sinceMs > deadlineMs) {
      this.#sinceMs = nowMs;
      this.#found = unreachable(this.#world, this.#members, this.#bytes, deadlineMs / 2);
    }
    return this.#found;
  }

  /** Half a deadline has passed over some link: all probe at once, so that what they find is there when it has passed whole. */
  alarm(deadlineMs: number): void {
    const nowMs = this.#world.clock.nowMs();
    if (nowMs - this.#alarmedMs <= deadlineMs) return;
    this.#alarmedMs = nowMs;
    void this.within(deadlineMs);
    for (const member of this.#members) void ask(this.#world, member, { kind: 'alarm', attempt: this.#attempt }, { timeoutMs: deadlineMs });
  }
}
