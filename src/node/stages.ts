import type { NodeHealth, StageName } from '../api/index.ts';
import { asStarlingError, type StarlingError } from '../spec/index.ts';
import type { DaemonJournal } from './journal.ts';
import { systemClock } from './random.ts';

const STAGES: readonly StageName[] = ['rules', 'ledger', 'register', 'join', 'calibrate', 'run', 'monitor'];

/** The stages of a start, each visible in `node_health`: what fails stops the start there, and says so. */
export class Stages {
  readonly #journal: DaemonJournal;
  readonly #stages = new Map<StageName, { state: 'pending' | 'running' | 'done' | 'failed'; ms?: number; error?: string }>();
  #problem: StarlingError | undefined;

  constructor(journal: DaemonJournal) {
    this.#journal = journal;
    for (const name of STAGES) this.#stages.set(name, { state: 'pending' });
  }

  async run<T>(name: StageName, work: () => T | Promise<T>): Promise<T> {
    const sinceMs = systemClock.nowMs();
    this.#stages.set(name, { state: 'running' });
    try {
      const result = await work();
      const ms = Math.round(systemClock.nowMs() - sinceMs);
      this.#stages.set(name, { state: 'done', ms });
      this.#journal.log('debug', 'node', 'stage done', { stage: name, ms });
      return result;
    } catch (error) {
      const problem = asStarlingError(error, { phase: name });
      this.#stages.set(name, { state: 'failed', error: problem.message });
      throw problem;
    }
  }

  /** Something broke after the start. */
  fail(problem: StarlingError): void {
    this.#problem = problem;
  }

  health(): NodeHealth {
    const stages = STAGES.map((name) => ({ name, ...(this.#stages.get(name) ?? { state: 'pending' as const }) }));
    const ready = ['rules', 'ledger', 'register', 'join', 'run'].every((name) => stages.some((s) => s.name === name && s.state === 'done'));
    const fix = this.#problem?.facts.fix;
    const problems =
      this.#problem === undefined
        ? []
        : [{ code: this.#problem.code, message: this.#problem.message, ...(fix === undefined ? {} : { fix }) }];
    return { ok: problems.length === 0, ready: ready && problems.length === 0, stages, problems };
  }
}
