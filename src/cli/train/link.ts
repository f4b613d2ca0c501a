import { setTimeout as sleep } from 'node:timers/promises';
import type { ApiClient } from '../../api/client.ts';
import { StarlingError } from '../../spec/index.ts';

/** Ms. How long a daemon may be away before a trainer gives up: a restart with a long ledger to check takes less. */
const AWAY_MAX_MS = 120_000;
/** Ms between attempts: doubled from the first to the last. */
const RETRY_FIRST_MS = 100;
const RETRY_LAST_MS = 2_000;

export interface LinkOptions {
  /** Finds the daemon anew: its port may have changed. */
  readonly connect: () => Promise<ApiClient>;
  readonly name: string;
  readonly signal: AbortSignal;
  /** Called once when the daemon goes away, and once when it is back. */
  readonly onAway: (away: boolean) => void;
  /** Ms; AWAY_MAX_MS unless told. */
  readonly awayMaxMs?: number;
}

/** A trainer's line to its daemon: outlives the daemon's restarts and attaches again after each. */
export class Link {
  readonly #options: LinkOptions;
  #client: ApiClient | undefined;
  #trainerId: string | undefined;

  constructor(options: LinkOptions) {
    this.#options = options;
  }

  /** Runs `request`, again with back-off while the daemon is away. Throws DAEMON_DOWN after AWAY_MAX_MS, and any other failure at once. */
  async ask<T>(request: (client: ApiClient) => Promise<T>): Promise<T> {
    const { signal, onAway, awayMaxMs = AWAY_MAX_MS } = this.#options;
    const start = performance.now();
    let pauseMs = RETRY_FIRST_MS;
    for (let attempt = 0; ; attempt++) {
      try {
        this.#client ??= await this.#open();
        const answer = await request(this.#client);
        if (attempt > 0) onAway(false);
        return answer;
      } catch (error) {
        if (!isAway(error)) throw error;
        if (performance.now() - start > awayMaxMs)
          throw new StarlingError(
            'DAEMON_DOWN',
            `the daemon has been away for ${Math.round(awayMaxMs / 1000)} s: ${error.message}`,
            { ...error.facts, phase: 'train' },
            { cause: error },
          );
        this.#client = undefined;
        if (attempt === 0) onAway(true);
        await sleep(pauseMs, undefined, { signal });
        pauseMs = Math.min(2 * pauseMs, RETRY_LAST_MS);
      }
    }
  }

  /** Attaches unless the daemon still knows this trainer; a restarted one does not. */
  async attach(): Promise<void> {
    await this.ask(async (client) => {
      const known = await client.call('trainer_status');
      if (!known.some(({ trainerId }) => trainerId === this.#trainerId)) await this.#attachTo(client);
    });
  }

  /** Whoever was attached before the daemon went away is attached again at once: the swarm waits only for trainers it knows of. */
  async #open(): Promise<ApiClient> {
    const client = await this.#options.connect();
    if (this.#trainerId !== undefined) await this.#attachTo(client);
    return client;
  }

  async #attachTo(client: ApiClient): Promise<void> {
    this.#trainerId = (await client.call('trainer_attach', { name: this.#options.name })).trainerId;
  }

  /** Says goodbye through `client`; a daemon that is not there any more needs none. */
  async detach(client: Promise<ApiClient>): Promise<void> {
    const trainerId = this.#trainerId;
    if (trainerId === undefined) return;
    try {
      await (await client).call('trainer_detach', { trainerId });
    } catch (error) {
      if (!(error instanceof StarlingError) && (error as Error).name !== 'TimeoutError') throw error;
    }
  }
}

/** Down, starting, or still without the newest model: it answers later. */
const isAway = (error: unknown): error is StarlingError =>
  error instanceof StarlingError && ['DAEMON_DOWN', 'NOT_READY', 'AGGREGATE_MISSING'].includes(error.code);
