import { z } from 'zod';
import { StarlingError } from '../../spec/errors.ts';
import { defineMethod } from '../method.ts';
import { Count, Epoch, Hash, NodeClassName, NoParams, Tensors } from '../schemas.ts';

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
  defineMethod({
    name: 'swarm_ballot',
    summary:
      "This voter's voice: to give a member the vote, to take it, or to bring back the model of an epoch. A quorum of voters decides.",
    params: z.strictObject({
      action: z.enum(['admit', 'remove', 'restore']),
      subject: Hash.optional().describe('admit, remove: whom'),
      epoch: Epoch.optional().describe('restore: the epoch whose model comes back'),
    }),
    result: z.looseObject({ entry: Hash, ayes: z.array(Hash), quorum: Count }),
    run(service, { action, subject = null, epoch }) {
      if ((action === 'restore') !== (subject === null) || (action === 'restore') !== (epoch !== undefined))
        throw new StarlingError(
          'BAD_PARAMS',
          `${action} takes ${action === 'restore' ? 'an epoch, and no subject' : 'a subject, and no epoch'}`,
          {
            field: action === 'restore' ? 'epoch' : 'subject',
          },
        );
      return service.ballot({ action, subject, epoch: epoch ?? 0 });
    },
  }),
  defineMethod({
    name: 'swarm_membership',
    summary: 'Gives up the membership of this node, or takes it up again; one of the next blocks carries it out.',
    params: z.strictObject({ action: z.enum(['leave', 'resume']) }),
    result: z.looseObject({ entry: Hash }),
    run: async (service, { action }) => ({ entry: await service.membership(action) }),
  }),
];
