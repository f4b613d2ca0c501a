import { StarlingError, type SwarmId } from '../spec/index.ts';

/** The first eight digits of a swarm id: enough to keep swarms apart, short enough to read. */
export const swarm8 = (swarm: SwarmId): string => swarm.slice(0, 8);

/** The one protocol without a swarm in its name: how a newcomer learns which swarm it met (PROTOCOL section 2). */
export const GENESIS_PROTOCOL = '/starling/genesis/1';

/** Gossip of one epoch's updates. */
export const epochTopic = (swarm: SwarmId, epoch: number): string => `/starling/${swarm8(swarm)}/epoch/${epoch}`;
/** Gossip of ledger entries. */
export const ledgerTopic = (swarm: SwarmId): string => `/starling/${swarm8(swarm)}/ledger`;
/** Gossip of proposals, votes, commits and heartbeats. */
export const votesTopic = (swarm: SwarmId): string => `/starling/${swarm8(swarm)}/votes`;
/** A direct stream protocol, `name` from STREAM_PROTOCOLS. */
export const streamProtocol = (swarm: SwarmId, name: string): string => `/starling/${swarm8(swarm)}/${name}/1`;
/** Protocol id of the swarm's own DHT, so that swarms do not share routing tables. */
export const kadProtocol = (swarm: SwarmId): string => `/starling/${swarm8(swarm)}/kad/1`;

export type Topic =
  | { readonly kind: 'epoch'; readonly swarm8: string; readonly epoch: number }
  | { readonly kind: 'ledger'; readonly swarm8: string }
  | { readonly kind: 'votes'; readonly swarm8: string };

/** What a topic name says. Throws MALFORMED for anything that the functions above would not write. */
export function parseTopic(topic: string): Topic {
  const match = /^\/starling\/([0-9a-f]{8})\/(?:(ledger|votes)|epoch\/(0|[1-9]\d{0,15}))$/.exec(topic);
  const [, prefix, kind, epoch] = match ?? [];
  if (prefix === undefined || !Number.isSafeInteger(Number(epoch ?? 0)))
    throw new StarlingError('MALFORMED', `not a topic of Starling: ${topic.slice(0, 80)}`, { field: 'topic' });
  if (epoch !== undefined) return { kind: 'epoch', swarm8: prefix, epoch: Number(epoch) };
  return { kind: kind === 'votes' ? 'votes' : 'ledger', swarm8: prefix };
}

/** What a stream protocol id says. Throws MALFORMED. */
export function parseStreamProtocol(protocol: string): { readonly swarm8: string; readonly name: string } {
  const match = /^\/starling\/([0-9a-f]{8})\/([a-z]{1,16})\/1$/.exec(protocol);
  if (match?.[1] === undefined || match[2] === undefined)
    throw new StarlingError('MALFORMED', `not a stream protocol of Starling: ${protocol.slice(0, 80)}`, { field: 'protocol' });
  return { swarm8: match[1], name: match[2] };
}
