import { noise } from '@chainsafe/libp2p-noise';
import { yamux } from '@chainsafe/libp2p-yamux';
import { tcp } from '@libp2p/tcp';
import { tls } from '@libp2p/tls';
import type { Journal } from '../epoch/ports.ts';
import { StarlingError } from '../spec/index.ts';
import { QUIC, YAMUX } from './limits.ts';
import type { MuxerMaker, NodeOptions, Transport } from './types.ts';

const isQuic = (address: string): boolean => address.includes('/quic-v1');

/**
 * TCP always, QUIC where its native module loads. Returns the transports and the listen addresses they serve;
 * what cannot be served is said in the journal. Throws BAD_CONFIG when no address is left.
 */
export async function chooseTransports(
  listen: readonly string[],
  journal: Journal,
  loadQuic: () => Promise<Transport> = importQuic,
): Promise<{ readonly transports: Transport[]; readonly listen: string[] }> {
  const transports: Transport[] = [tcp()];
  try {
    transports.push(await loadQuic());
    return { transports, listen: [...listen] };
  } catch (error) {
    const served = listen.filter((address) => !isQuic(address));
    const facts = { reason: (error as Error).message, addresses: listen.filter(isQuic).join(' ') };
    journal.log('warn', 'network', 'QUIC is not available here; this node speaks TCP only', facts);
    if (served.length === 0 && listen.length > 0)
      throw new StarlingError('BAD_CONFIG', 'all listen addresses are QUIC and QUIC is not available', {
        field: 'listen',
        fix: 'listen on TCP, e.g. /ip4/0.0.0.0/tcp/7740, or install @chainsafe/libp2p-quic for this platform',
      });
    return { transports, listen: served };
  }
}

/** Imported on demand: the module is native and missing on some platforms. */
async function importQuic(): Promise<Transport> {
  const { quic } = await import('@chainsafe/libp2p-quic');
  return quic(QUIC);
}

/** TLS 1.3 first: on Node >= 24 it negotiates X25519MLKEM768, which noise does not have (PROTOCOL section 1). */
export const secureChannels = (): Pick<NodeOptions, 'connectionEncrypters' | 'streamMuxers'> => ({
  connectionEncrypters: [tls(), noise()],
  streamMuxers: [safeYamux],
});

/**
 * yamux writes its first frame of a stream in a microtask, and on a connection that closed in between that throws
 * where nobody can catch it and ends the process. Here such a frame is lost, as the connection is.
 */
export const safeYamux: MuxerMaker = () => {
  const factory = yamux({ streamOptions: YAMUX })();
  const create = factory.createStreamMuxer.bind(factory);
  factory.createStreamMuxer = (connection) => {
    const muxer = create(connection) as ReturnType<typeof create> & { send(data: unknown): boolean };
    const send = muxer.send.bind(muxer);
    muxer.send = (data) => {
      try {
        return send(data);
      } catch (error) {
        if ((error as Error).name !== 'StreamStateError') throw error;
        return false;
      }
    };
    return muxer;
  };
  return factory;
};
