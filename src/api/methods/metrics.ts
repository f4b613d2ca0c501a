import { z } from 'zod';
import { defineMethod } from '../method.ts';
import { NoParams } from '../schemas.ts';

export const metricsMethods = [
  defineMethod({
    name: 'metrics_get',
    summary: 'The figures of /metrics as JSON.',
    params: NoParams,
    result: z.unknown(),
    run: (service) => service.metricsJson(),
  }),
];
