import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { StarlingError } from '../../spec/index.ts';
import { LAUNCHER } from './plan.ts';

/** Ms a child has to stop in order; a daemon needs a tenth of it to close its database. */
const STOP_MS = 5_000;
/** Lines of a child's log shown when it fails. */
const TAIL_LINES = 12;

export interface ChildOptions {
  /** For people, e.g. `node 2` or `trainer 2`. */
  readonly name: string;
  readonly arguments: readonly string[];
  /** Folder of its log. */
  readonly folder: string;
  /** Whether it goes on after this process; otherwise it ends with it, even by SIGKILL (the launcher sees the channel close). */
  readonly outlives: boolean;
  readonly onMessage?: (message: unknown) => void;
}

/** The processes of a demo. `failure` rejects with the first one that ends when it should not. */
export class Children {
  readonly #running = new Map<ChildProcess, string>();
  readonly #failure = Promise.withResolvers<never>();
  #stopping = false;

  constructor() {
    this.failure.catch(() => {}); // it may come when nobody waits any more
  }

  get failure(): Promise<never> {
    return this.#failure.promise;
  }

  /** Starts `starling` with these arguments; resolves with its exit when that was in order (code 0). Never rejects. */
  start(options: ChildOptions): { readonly pid: number; readonly ended: Promise<void> } {
    const log = join(options.folder, `${options.name.replaceAll(' ', '')}.log`);
    const file = openSync(log, 'a');
    const child = spawn(process.execPath, [LAUNCHER, ...options.arguments], {
      stdio: options.outlives ? ['ignore', file, file] : ['ignore', file, file, 'ipc'],
      detached: options.outlives,
      env: childEnvironment(process.env),
    });
    closeSync(file);
    this.#running.set(child, options.name);
    if (options.onMessage !== undefined) child.on('message', options.onMessage);
    const ended = Promise.withResolvers<void>();
    const onEnd = (how: string, inOrder: boolean): void => {
      this.#running.delete(child);
      if (inOrder) ended.resolve();
      else if (!this.#stopping) this.#failure.reject(childFailed(options.name, how, log));
    };
    child.once('error', (error) => onEnd(`could not start: ${error.message}`, false));
    // 'close' and not 'exit': its last messages have been read by then.
    child.once('close', (code, signal) =>
      onEnd(signal === null ? `ended with code ${code}` : `was ended by ${signal}`, code === 0 && isTrainer(options)),
    );
    return { pid: child.pid ?? 0, ended: ended.promise };
  }

  /** Lets those that outlive this process go on without it. */
  release(): void {
    for (const child of this.#running.keys()) child.unref();
    this.#running.clear();
  }

  /** Ends every child: in order, and by force after STOP_MS. Resolves when none is left. */
  async stop(): Promise<void> {
    this.#stopping = true;
    const children = [...this.#running.keys()];
    const gone = children.map((child) => new Promise<void>((resolve) => child.once('close', () => resolve())));
    for (const child of children) child.kill('SIGTERM');
    const force = setTimeout(() => {
      for (const child of this.#running.keys()) child.kill('SIGKILL');
    }, STOP_MS);
    await Promise.all(gone);
    clearTimeout(force);
  }
}

/** Of this process's own settings only these are meant for every daemon; a token or a port is not. */
const PASSED_ON = ['STARLING_COMPUTE_BACKEND', 'STARLING_LOG_LEVEL'];
export const childEnvironment = (environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv =>
  Object.fromEntries(Object.entries(environment).filter(([name]) => !name.startsWith('STARLING_') || PASSED_ON.includes(name)));

/** A trainer ends when it is done; a daemon never ends by itself. */
const isTrainer = ({ arguments: [command] }: ChildOptions): boolean => command === 'train';

function childFailed(name: string, how: string, log: string): StarlingError {
  const tail = readFileSync(log, 'utf8').trimEnd().split('\n').slice(-TAIL_LINES);
  return new StarlingError(
    name.startsWith('trainer') ? 'NO_TRAINER' : 'DAEMON_DOWN',
    [`${name} ${how}; its last lines:`, ...tail].join('\n  | '),
    {
      peer: name,
      phase: 'demo',
      fix: 'see the lines above; `starling doctor` checks this machine',
    },
  );
}
