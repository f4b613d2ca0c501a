/**
 * What is loaded into a real daemon, before all else, so that it breaks in the middle of an average: AVERAGE_FAULT says how, AVERAGE_PHASE
 * when, AVERAGE_STEPS how many steps the schedule has, AVERAGE_GO a file that is waited for where the test has a hand on the cable.
 */
import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { LibpStreams } from '../../src/network/streams.ts';
import { type AverageMessage, decodeAverage, encodeAverage } from '../../src/wire/index.ts';

export const FAULTS = ['kill', 'freeze', 'cut', 'half-open', 'corrupt', 'wrong-size', 'slow'] as const;
export type Fault = (typeof FAULTS)[number];
export const PHASES = ['before', 'reduce-scatter', 'all-gather', 'after'] as const;
export type Phase = (typeof PHASES)[number];
/** What it says when its turn has come and the test is to do something. */
export const NOW = 'AVERAGE_FAULT now';

type Chunk = Extract<AverageMessage, { kind: 'chunk' }>;

/** Ms without another chunk after the last step's first: it has sent all. */
const QUIET_MS = 150;
const LOOK_MS = 5;

const { AVERAGE_FAULT: fault, AVERAGE_PHASE: phase, AVERAGE_STEPS: steps, AVERAGE_GO: go } = process.env;
if (fault !== undefined) breakAt(fault as Fault, phase as Phase, Number(steps), go ?? '');

function breakAt(fault: Fault, phase: Phase, steps: number, go: string): void {
  const { request, handle } = LibpStreams.prototype;
  let isBroken = false;
  let isDeaf = false;
  let sent = 0;
  let after: NodeJS.Timeout | undefined;

  async function broken(chunk: Chunk | undefined): Promise<Chunk | undefined> {
    isBroken = true;
    if (fault === 'kill') process.kill(process.pid, 'SIGKILL');
    if (fault === 'freeze') process.kill(process.pid, 'SIGSTOP');
    if (fault === 'half-open') isDeaf = true;
    if (fault === 'cut' || fault === 'slow') {
      process.stderr.write(`${NOW}\n`);
      while (!existsSync(go)) await sleep(LOOK_MS);
    }
    if (chunk === undefined) return undefined;
    if (fault === 'corrupt') return { ...chunk, bytes: chunk.bytes.with(0, (chunk.bytes[0] as number) ^ 1) };
    if (fault === 'wrong-size') return { ...chunk, bytes: chunk.bytes.subarray(1) };
    return chunk;
  }

  function isDue(chunk: Chunk): boolean {
    const isGathering = 2 * chunk.step >= steps;
    if (phase === 'before') return true;
    if (phase === 'reduce-scatter') return !isGathering && sent > 0;
    return phase === 'all-gather' && isGathering;
  }

  LibpStreams.prototype.request = async function (peer, protocol, payload, options) {
    const message = protocol === 'average' ? decodeAverage(payload) : undefined;
    if (message?.kind !== 'chunk' || isBroken) return await request.call(this, peer, protocol, payload, options);
    const chunk = isDue(message) ? await broken(message) : message;
    sent++;
    if (phase === 'after' && message.step === steps - 1) {
      clearTimeout(after);
      after = setTimeout(() => void broken(undefined), QUIET_MS);
    }
    return await request.call(this, peer, protocol, chunk === undefined ? payload : encodeAverage(chunk), options);
  };

  LibpStreams.prototype.handle = function (protocol, handler) {
    if (protocol !== 'average') return handle.call(this, protocol, handler);
    return handle.call(
      this,
      protocol,
      async (from, payload) => await (isDeaf ? new Promise<never>(() => undefined) : handler(from, payload)),
    );
  };
}
