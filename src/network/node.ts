import { createHash } from 'node:crypto';
import { gossipsub, StrictNoSign } from '@libp2p/gossipsub';
import { identify } from '@libp2p/identify';
import { kadDHT, passthroughMapper } from '@libp2p/kad-dht';
import { createLibp2p } from 'libp2p';
import type { PeerId, SwarmId } from '../spec/index.ts';
import { kadProtocol } from '../wire/topics.ts';
import { contactPing } from './contactPing.ts';
import { ADDRESS_BOOK, CONNECTION, GOSSIP } from './limits.ts';
import type { Penalties } from './penalties.ts';
import type { TrafficMeter } from './traffic.ts';
import { secureChannels } from './transports.ts';
import type { Node, NodeOptions, Transport } from './types.ts';

/** Connection settings that the newcomer's bare host shares. Reasons stand with the values in limits.ts. */
export const connectionManager = {
  maxConnections: CONNECTION.maxConnections,
  dialTimeout: CONNECTION.dialTimeoutMs,
  addressDialTimeout: CONNECTION.addressDialTimeoutMs,
  inboundConnectionThreshold: CONNECTION.inboundPerSecond,
  maxIncomingPendingConnections: CONNECTION.maxPendingInbound,
  inboundUpgradeTimeout: CONNECTION.inboundUpgradeMs,
  outboundStreamProtocolNegotiationTimeout: CONNECTION.negotiationMs,
  inboundStreamProtocolNegotiationTimeout: CONNECTION.negotiationMs,
  // the dialler of this room re-dials; libp2p's gives up for ever and lets five dead peers block the rest
  reconnectRetries: 0,
} satisfies NodeOptions['connectionManager'];

export interface NodeInit {
  readonly privateKey: NonNullable<NodeOptions['privateKey']>;
  readonly swarmId: SwarmId;
  readonly listen: readonly string[];
  readonly transports: readonly Transport[];
  readonly traffic: TrafficMeter;
  readonly penalties: Penalties;
}

/** The configured libp2p node, not yet started. */
export function createNode(init: NodeInit): Promise<Node> {
  return createLibp2p({
    start: false,
    privateKey: init.privateKey,
    nodeInfo: { userAgent: 'starling' },
    addresses: { listen: [...init.listen] },
    transports: [...init.transports],
    ...secureChannels(),
    connectionManager,
    connectionMonitor: {
      pingInterval: CONNECTION.pingIntervalMs,
      pingTimeout: { minTimeout: CONNECTION.pingTimeoutMinMs, maxTimeout: CONNECTION.pingTimeoutMaxMs },
    },
    peerStore: { maxAddressAge: ADDRESS_BOOK.maxAgeMs, maxPeerAge: ADDRESS_BOOK.maxAgeMs },
    metrics: () => init.traffic.metrics(),
    services: {
      identify: identify(),
      ping: contactPing,
      dht: kadDHT({
        protocol: kadProtocol(init.swarmId),
        clientMode: false,
        peerInfoMapper: passthroughMapper, // the default drops private addresses, and a swarm may live in one building
        initialQuerySelfInterval: 100,
        allowQueryWithZeroPeers: true, // a first walk must not wait for the first self-query
      }),
      gossip: gossipsub({
        globalSignaturePolicy: StrictNoSign, // our envelopes are signed; 121 us instead of 742 us a delivery
        msgIdFn: ({ topic, data }) => messageId(topic, data),
        allowPublishToZeroTopicPeers: true, // 0 recipients is an answer, not an error
        ignoreDuplicatePublishError: true,
        fallbackToFloodsub: false,
        maxOutboundBufferSize: GOSSIP.maxOutboundBufferBytes,
        maxInboundDataLength: GOSSIP.maxRpcBytes,
        D: GOSSIP.mesh,
        Dlo: GOSSIP.meshLow,
        Dhi: GOSSIP.meshHigh,
        Dscore: GOSSIP.meshLow,
        Dout: GOSSIP.meshOutbound,
        idontwantMinDataSize: GOSSIP.unwantedBytes,
        scoreParams: {
          IPColocationFactorWeight: 0, // else more than ten peers on one host get nothing
          behaviourPenaltyThreshold: GOSSIP.behaviourPenaltyThreshold,
          appSpecificWeight: 1,
          appSpecificScore: (peer: PeerId) => -init.penalties.of(peer),
        },
      }),
    },
  });
}

/** One message on two topics is two messages. */
const messageId = (topic: string, data: Uint8Array): Uint8Array => createHash('sha256').update(topic).update('\0').update(data).digest();
