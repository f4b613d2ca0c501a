import { z } from 'zod';
import { defineMethod } from '../method.ts';
import { Count, Epoch, EpochCurrentResult, EpochResult, Hash, NoParams } from '../schemas.ts';

/** Ms. Below the 300 s after which undici (Node's fetch) gives up waiting for an answer's headers. */
const WAIT_MAX_MS = 240_000;
const WAIT_DEFAULT_MS = 60_000;
/** Epochs in one answer. */
const LIST_MAX = 1_000;
const LIST_DEFAULT = 20;

export const epochMethods = [
  defineMethod({
    name: 'epoch_current',
    summary: 'The epoch being collected, its phase and deadline, and the three heads.',
    params: NoParams,
    result: EpochCurrentResult,
    run: (service) => service.epoch(),
  }),
  defineMethod({
    name: 'epoch_get',
    summary:
      'One decided epoch: roster, weights, who was dropped from the sum and why, by which schedule it was made, roots and the steps it took here.',
    params: z.strictObject({ epoch: Epoch }),
    result: EpochResult,
    run: (service, { epoch }) => service.epochAt(epoch),
  }),
  defineMethod({
    name: 'epoch_list',
    summary: 'Decided epochs, newest first.',
    params: z.strictObject({ limit: z.int().min(1).max(LIST_MAX).default(LIST_DEFAULT) }),
    result: z.array(EpochResult),
    run: (service, { limit }) => service.epochs(limit),
  }),
  defineMethod({
    name: 'epoch_rollback',
    summary: 'Holds this node alone at an earlier epoch, with its model and its tree, until epoch_resume; restarts included.',
    params: z.strictObject({ epoch: Epoch }),
    result: z.looseObject({ epoch: Epoch, modelRoot: Hash, stateRoot: Hash, treeSize: Count, treeRoot: Hash }),
    run: (service, { epoch }) => service.rollback(epoch),
  }),
  defineMethod({
    name: 'epoch_resume',
    summary: 'Ends a rollback: this node catches up with the newest block and takes part again.',
    params: NoParams,
    result: EpochCurrentResult,
    run: (service) => service.goOn(),
  }),
  defineMethod({
    name: 'epoch_wait',
    summary:
      'Answers once this node has applied the epoch or a later one, or gave up provisional ones for a final block; fails with TIMEOUT.',
    params: z.strictObject({ epoch: Epoch, timeoutMs: z.int().min(0).max(WAIT_MAX_MS).default(WAIT_DEFAULT_MS) }),
    result: EpochCurrentResult,
    waits: true,
    run: (service, { epoch, timeoutMs }) => service.waitEpoch(epoch, timeoutMs),
  }),
];
