import { z } from 'zod';
import { defineMethod } from '../method.ts';
import { Hash, NodeClassName, NoParams } from '../schemas.ts';

export const nodeMethods = [
  defineMethod({
    name: 'node_info',
    summary: 'Who this node is, where it can be dialled and what it computes with.',
    params: NoParams,
    result: z.looseObject({
      fingerprint: Hash,
      peerId: z.string(),
      addresses: z.array(z.string()).describe('dialable multiaddrs, each with /p2p/'),
      version: z.string(),
      class: NodeClassName,
      swarmId: Hash,
      uptimeMs: z.number(),
      compute: z.looseObject({ backend: z.string() }),
      pid: z.int(),
    }),
    run: (service) => service.info(),
  }),
  defineMethod({
    name: 'node_health',
    summary: 'Whether the node is ready, its stages, and what is wrong with it.',
    params: NoParams,
    result: z.looseObject({
      ok: z.boolean(),
      ready: z.boolean(),
      stages: z.array(z.looseObject({})),
      problems: z.array(z.looseObject({})),
    }),
    run: (service) => service.health(),
  }),
  defineMethod({
    name: 'node_shutdown',
    summary: 'Stops the daemon cleanly; answers once it has begun to stop.',
    params: NoParams,
    result: z.looseObject({ stopping: z.literal(true) }),
    async run(service) {
      await service.shutdown();
      return { stopping: true };
    },
  }),
];
