import { z } from 'zod';
import { defineMethod } from '../method.ts';
import { Count, Epoch, Hash, Head, Tensors } from '../schemas.ts';

export const modelMethods = [
  defineMethod({
    name: 'model_info',
    summary: 'Epoch, root and tensors of a head; the values are at GET /v1/model.',
    params: z.strictObject({ head: Head.default('applied') }),
    result: z.looseObject({ head: Head, epoch: Epoch, modelRoot: Hash, tensors: Tensors, parameters: Count }),
    run: (service, { head }) => service.model(head),
  }),
];
