import { z } from 'zod';
import { defineMethod } from '../method.ts';
import { Count, Hash, NodeClassName, NoParams, Tensors } from '../schemas.ts';

export const swarmMethods = [
  defineMethod({
    name: 'swarm_info',
    summary: 'The genesis of the swarm, its members and what their number survives.',
    params: NoParams,
    result: z.looseObject({
      swarmId: Hash,
      name: z.string(),
      tensors: Tensors,
      parameters: Count,
      members: z.array(z.looseObject({ fingerprint: Hash, class: NodeClassName, trust: z.number() })),
      seats: Count,
      tolerance: z.string(),
    }),
    run: (service) => service.swarm(),
  }),
];
