import type { TrainerStatus } from '../api/index.ts';
import { toHex } from '../crypto/index.ts';
import { StarlingError } from '../spec/index.ts';
import { randomBytes } from './random.ts';

/** Epochs without a contribution of this node after which its trainers count as gone: nobody waits for the dead. */
const SILENT_EPOCHS = 3;
/** Trainers of one node. More are a mistake of some loop. */
const MAX_TRAINERS = 64;

/** Trainers attached to this daemon. */
export class Trainers {
  readonly #attached = new Map<string, { readonly attachedMs: number; last: TrainerStatus['lastSubmission'] }>();
  readonly #changed: (count: number) => void;
  #lastContribution = 0;

  constructor(changed: (count: number) => void) {
    this.#changed = changed;
  }

  attach(name: string, epoch: number): TrainerStatus {
    if (this.#attached.size >= MAX_TRAINERS)
      throw new StarlingError('BAD_PARAMS', `${MAX_TRAINERS} trainers are attached`, {
        field: 'name',
        fix: 'detach those that ended (trainer_detach)',
      });
    const trainerId = `${name.slice(0, 32)}-${toHex(randomBytes(4))}`;
    this.#attached.set(trainerId, { attachedMs: Date.now(), last: null });
    this.#lastContribution = Math.max(this.#lastContribution, epoch);
    this.#changed(this.#attached.size);
    return this.#status(trainerId);
  }

  detach(trainerId: string): void {
    if (!this.#attached.delete(trainerId))
      throw new StarlingError('NOT_FOUND', `no trainer ${trainerId} is attached`, { field: 'trainerId', fix: 'trainer_status lists them' });
    this.#changed(this.#attached.size);
  }

  list(): readonly TrainerStatus[] {
    return [...this.#attached.keys()].map((id) => this.#status(id));
  }

  /** This node contributed; with several trainers nobody knows whose it was, so all of them show it. */
  contributed(epoch: number, contributionId: string | null): void {
    this.#lastContribution = epoch;
    for (const one of this.#attached.values()) one.last = { epoch, contributionId };
  }

  /** An epoch with contributions was applied. Returns the trainers that were given up. */
  applied(epoch: number): readonly string[] {
    if (this.#attached.size === 0 || epoch - this.#lastContribution < SILENT_EPOCHS) return [];
    const gone = [...this.#attached.keys()];
    this.#attached.clear();
    this.#changed(0);
    return gone;
  }

  #status(trainerId: string): TrainerStatus {
    const one = this.#attached.get(trainerId);
    return { trainerId, attachedMs: one?.attachedMs ?? 0, lastSubmission: one?.last ?? null };
  }
}
