import { type Multiaddr, multiaddr } from '@multiformats/multiaddr';
import { type PeerId, StarlingError } from '../spec/index.ts';

/** Throws BAD_USAGE for what is not a multiaddr. */
export function parseAddress(address: string): Multiaddr {
  try {
    const parsed = multiaddr(address);
    if (parsed.getComponents().length === 0) throw new Error('it is empty');
    return parsed;
  } catch (cause) {
    throw new StarlingError(
      'BAD_USAGE',
      `${address} is not a multiaddr`,
      { field: 'address', fix: 'write it like /ip4/192.0.2.7/tcp/7740 or /ip4/192.0.2.7/udp/7740/quic-v1' },
      { cause },
    );
  }
}

/** The peer id at the end of an address, if it has one. Throws BAD_USAGE. */
export const peerIn = (address: string): PeerId | undefined =>
  parseAddress(address)
    .getComponents()
    .findLast((one) => one.name === 'p2p')?.value;

/** The address as text with the peer's id at its end. */
export const withPeer = (address: Pick<Multiaddr, 'toString' | 'getComponents'>, peer: PeerId): string =>
  address.getComponents().some((one) => one.name === 'p2p') ? address.toString() : `${address.toString()}/p2p/${peer}`;

/** What to do when nobody answers at an address. */
export const UNREACHABLE_FIX = 'check that the daemon there runs, that the address is right and that nothing filters the port';
