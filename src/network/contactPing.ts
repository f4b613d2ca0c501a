import { type Ping, type PingComponents, ping } from '@libp2p/ping';

/**
 * The ping by which the DHT makes sure that a contact is online before it takes it into its routing table. It does so once a connection, and
 * a ping has one stream a connection, which the connection monitor's pings use as well: where the two met, or the machine was
 * busy, two daemons did not know each other for as long as they were connected, and a newcomer with one bootstrap address stayed alone
 * with it. A connected peer is online: the connection monitor sees to that.
 */
export function contactPing(components: PingComponents): Ping {
  const service = ping()(components);
  const across = service.ping.bind(service);
  const isConnected = (name: string): boolean =>
    components.connectionManager.getConnections().some(({ status, remotePeer }) => status === 'open' && remotePeer.toString() === name);
  service.ping = async (peer, options) => (isConnected(String(peer)) ? 0 : await across(peer, options));
  return service;
}
