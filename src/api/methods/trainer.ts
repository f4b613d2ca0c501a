import { z } from 'zod';
import { defineMethod } from '../method.ts';
import { NoParams, TrainerResult } from '../schemas.ts';

export const trainerMethods = [
  defineMethod({
    name: 'trainer_attach',
    summary: 'Announces a trainer: epochs wait for its update until it detaches or the deadline passes.',
    params: z.strictObject({ name: z.string().min(1).max(64).default('trainer') }),
    result: TrainerResult,
    run: (service, { name }) => service.attachTrainer(name),
  }),
  defineMethod({
    name: 'trainer_detach',
    summary: "Ends a trainer's attachment; epochs no longer wait for it.",
    params: z.strictObject({ trainerId: z.string().min(1).max(128) }),
    result: z.looseObject({ detached: z.literal(true) }),
    run(service, { trainerId }) {
      service.detachTrainer(trainerId);
      return { detached: true };
    },
  }),
  defineMethod({
    name: 'trainer_status',
    summary: 'The trainers attached to this node.',
    params: NoParams,
    result: z.array(TrainerResult),
    run: (service) => service.trainers(),
  }),
];
