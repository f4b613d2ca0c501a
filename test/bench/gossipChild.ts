/**
 * One process of the gossip bench: `starling` runs a node's host as a daemon does, `bare` gossipsub over the same
 * transports without validators. Does what its parent says; times are CLOCK_MONOTONIC, which all processes of a
 * machine share.
 */
import { randomBytes } from 'node:crypto';
import { flushCompileCache } from 'node:module';
import { gossipsub, StrictNoSign } from '@libp2p/gossipsub';
import { identify } from '@libp2p/identify';
import { tcp } from '@libp2p/tcp';
import { multiaddr } from '@multiformats/multiaddr';
import { createLibp2p } from 'libp2p';
import { secureChannels } from '../../src/network/transports.ts';
import { ACCEPT } from '../../src/spec/index.ts';
import { epochTopic } from '../../src/wire/index.ts';
import { makeHost, SWARM } from '../support/networkHosts.ts';

export type Kind = 'starling' | 'bare';
/** Sends `count` messages of `bytes`, one every `everyMs`; receivers note the delay of those that are `timed`. */
export interface SendCommand {
  readonly timed: boolean;
  readonly count: number;
  readonly bytes: number;
  readonly everyMs: number;
}
export type Command = { readonly dial: readonly string[] } | { readonly send: SendCommand } | 'take';
/** `recipients` of the last message that was sent; `delays`: ms from publish to each delivery here since the last `take`. */
export type Report = { readonly addresses: readonly string[] } | { readonly recipients: number } | { readonly delays: readonly number[] };

interface Pubsub {
  readonly addresses: readonly string[];
  dial(address: string): Promise<unknown>;
  publish(data: Uint8Array): Promise<number>;
}

const LISTEN = ['/ip4/127.0.0.1/tcp/0'];
const TOPIC = epochTopic(SWARM, 1);
/** Bytes of the time at the head of a message. */
const TIME_BYTES = 8;
const UNTIMED = 0n;

const delays: number[] = [];
const onData = (data: Uint8Array): void => {
  const sent = Buffer.from(data.buffer, data.byteOffset, TIME_BYTES).readBigUInt64BE();
  if (sent !== UNTIMED) delays.push(Number(process.hrtime.bigint() - sent) / 1e6);
};

async function starling(): Promise<Pubsub> {
  const host = await makeHost({ listen: LISTEN });
  host.gossip.onMessage(async (_topic, data) => {
    onData(data);
    return ACCEPT;
  });
  host.gossip.subscribe(TOPIC);
  await host.start();
  return { addresses: host.addresses(), dial: host.dial, publish: async (data) => (await host.gossip.publish(TOPIC, data)).recipients };
}

async function bare(): Promise<Pubsub> {
  const node = await createLibp2p({
    addresses: { listen: LISTEN },
    transports: [tcp()],
    ...secureChannels(),
    services: { identify: identify(), gossip: gossipsub({ globalSignaturePolicy: StrictNoSign, allowPublishToZeroTopicPeers: true }) },
  });
  const { gossip } = node.services;
  gossip.addEventListener('message', ({ detail }) => onData(detail.data));
  gossip.subscribe(TOPIC);
  return {
    addresses: node.getMultiaddrs().map((one) => one.toString()),
    dial: (address) => node.dial(multiaddr(address)),
    publish: async (data) => (await gossip.publish(TOPIC, data)).recipients.length,
  };
}

const pubsub = await (process.argv[2] === 'starling' ? starling : bare)();
const report = (what: Report): void => void process.send?.(what);

async function send({ timed, count, bytes, everyMs }: SendCommand): Promise<void> {
  let recipients = 0;
  for (let i = 0; i < count; i++) {
    const message = randomBytes(bytes);
    message.writeBigUInt64BE(timed ? process.hrtime.bigint() : UNTIMED);
    recipients = await pubsub.publish(new Uint8Array(message));
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
  report({ recipients });
}

process.on('message', (command: Command) => {
  if (command === 'take') report({ delays: delays.splice(0) });
  else if ('dial' in command) void Promise.all(command.dial.map(pubsub.dial)).then(() => report({ addresses: pubsub.addresses }));
  else void send(command.send);
});
process.once('disconnect', () => process.exit());
flushCompileCache(); // for the processes that start after this one
report({ addresses: pubsub.addresses });
