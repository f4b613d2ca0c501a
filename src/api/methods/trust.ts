import { z } from 'zod';
import { defineMethod } from '../method.ts';
import { Hash, NoParams } from '../schemas.ts';

export const trustMethods = [
  defineMethod({
    name: 'trust_list',
    summary: "Each member's share of trust (shares add up to 1) and the average distance it comes from.",
    params: NoParams,
    result: z.array(z.looseObject({ fingerprint: Hash, trust: z.number(), emaX: z.number() })),
    run: (service) => service.trust(),
  }),
];
