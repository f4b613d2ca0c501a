import { z } from 'zod';
import { defineMethod, type Method } from '../method.ts';
import { openRpcDocument } from '../openrpc.ts';
import { NoParams } from '../schemas.ts';
import { epochMethods } from './epoch.ts';
import { eventMethods } from './events.ts';
import { ledgerMethods } from './ledger.ts';
import { metricsMethods } from './metrics.ts';
import { modelMethods } from './model.ts';
import { nodeMethods } from './node.ts';
import { peersMethods } from './peers.ts';
import { swarmMethods } from './swarm.ts';
import { trainerMethods } from './trainer.ts';
import { trustMethods } from './trust.ts';

const discover = defineMethod({
  name: 'rpc.discover',
  summary: "This API's OpenRPC document.",
  params: NoParams,
  result: z.looseObject({ openrpc: z.string() }),
  run: (service) => openRpcDocument(METHODS, service.info().version),
});

/** Every method of the API, in the order of the OpenRPC document. */
export const METHODS: readonly Method[] = [
  ...nodeMethods,
  ...peersMethods,
  ...swarmMethods,
  ...epochMethods,
  ...modelMethods,
  ...trainerMethods,
  ...ledgerMethods,
  ...trustMethods,
  ...metricsMethods,
  ...eventMethods,
  discover,
];
