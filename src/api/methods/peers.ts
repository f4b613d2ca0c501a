import { z } from 'zod';
import { defineMethod } from '../method.ts';
import { NoParams, PeerResult } from '../schemas.ts';

export const peersMethods = [
  defineMethod({
    name: 'peers_list',
    summary: 'The peers connected now, and how each was found.',
    params: NoParams,
    result: z.array(PeerResult),
    run: (service) => service.peers(),
  }),
  defineMethod({
    name: 'peers_dial',
    summary: 'Dials a multiaddr and answers with the peer found there.',
    params: z.strictObject({ address: z.string().min(1).max(1024).describe('a multiaddr, e.g. /ip4/192.0.2.1/tcp/7740') }),
    result: PeerResult,
    run: (service, { address }) => service.dial(address),
  }),
];
