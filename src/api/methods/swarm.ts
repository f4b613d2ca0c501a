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
  defineMethod({
    name: 'swarm_invite',
    summary: 'Signs the right to join, and perhaps to vote; its token is for `starling daemon --invite`. Only voters may.',
    params: z.strictObject({
      expiresMs: Count.describe('milliseconds since 1970'),
      nodeClass: NodeClassName.default('core'),
      vote: z.boolean().default(false),
      uses: z.int().min(1).default(1),
    }),
    result: z.looseObject({ token: z.string(), invite: z.looseObject({ nodeClass: NodeClassName, vote: z.boolean(), issuer: Hash }) }),
    run(service, request) {
      const { token, invite } = service.invite(request);
      const { signature: _, ...facts } = invite;
      return { token, invite: facts };
    },
  }),
];
