import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { type ApiClient, connect } from '../api/client.ts';
import type { Output } from './output.ts';

/** What every command is given: where to talk to, how to print, and when to stop. */
export interface CliContext {
  readonly program: Command;
  readonly output: Output;
  readonly environment: NodeJS.ProcessEnv;
  /** Aborted by the first SIGINT or SIGTERM. A command that outlives one must watch it and return. */
  readonly signal: AbortSignal;
  /** Absolute data folder: --data, then STARLING_DATA, then ~/.starling. */
  data(): string;
  /** --api or STARLING_API; otherwise the url comes from <data>/api.json. */
  api(): string | undefined;
  json(): boolean;
  /** A client of this data folder's daemon. Throws DAEMON_DOWN. */
  connect(): Promise<ApiClient>;
  /** For a command that has printed its result and failed all the same (exit code 1). */
  failed: boolean;
}

/** Adds one command (or a family) to the program. `registerTrain` and `registerDemo` have this shape. */
export type Register = (program: Command, context: CliContext) => void;

/** `program` must have the global options --data, --api and --json. */
export function createContext(program: Command, output: Output, signal: AbortSignal, environment = process.env): CliContext {
  const options = () => program.opts<{ data?: string; api?: string; json?: boolean }>();
  const data = () => resolve(options().data ?? environment.STARLING_DATA ?? join(homedir(), '.starling'));
  const api = () => options().api ?? environment.STARLING_API;
  return {
    program,
    output,
    environment,
    signal,
    data,
    api,
    json: () => options().json === true,
    connect: () => connect({ data: data(), api: api(), token: environment.STARLING_TOKEN, signal }),
    failed: false,
  };
}
