import { timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { sha256, utf8 } from '../crypto/hash.ts';
import { StarlingError } from '../spec/errors.ts';
import { WS_TOKEN_PREFIX } from './subscription.ts';

/** Paths that tell nothing worth a token. */
const OPEN_PATHS: ReadonlySet<string> = new Set(['/', '/healthz', '/readyz']);

/**
 * Checks one request's headers before its body is read. Host and Origin first: they keep out a web page that
 * was tricked onto this address (DNS rebinding) or posts to it from elsewhere; the token keeps out everyone else.
 * Throws FORBIDDEN or UNAUTHORIZED.
 */
export type Guard = (path: string, headers: IncomingHttpHeaders) => void;

export function createGuard(token: string, port: number): Guard {
  const hosts = new Set([`127.0.0.1:${port}`, `localhost:${port}`, `[::1]:${port}`]);
  const origins = new Set([...hosts].map((host) => `http://${host}`));
  const expected = sha256(utf8(token));
  return (path, headers) => {
    const { host = '', origin } = headers;
    if (!hosts.has(host.toLowerCase()))
      throw new StarlingError('FORBIDDEN', 'the Host header does not name this API', {
        field: 'host',
        fix: `use http://127.0.0.1:${port}`,
      });
    if (origin !== undefined && !origins.has(origin.toLowerCase()))
      throw new StarlingError('FORBIDDEN', 'the request comes from a foreign origin', {
        field: 'origin',
        fix: 'call the API from this machine, without a foreign web page',
      });
    if (OPEN_PATHS.has(path)) return;
    const given = bearer(headers);
    // Hashes have one length, so the comparison's time tells nothing about the token.
    if (given === undefined || !timingSafeEqual(sha256(utf8(given)), expected))
      throw new StarlingError('UNAUTHORIZED', given === undefined ? 'this needs a token' : 'the token is wrong', {
        field: 'authorization',
        fix: 'send "Authorization: Bearer TOKEN" with the content of api.token in the data folder',
      });
  };
}

/** From the Authorization header or, for a WebSocket of a browser, from the subprotocols it offers. */
function bearer(headers: IncomingHttpHeaders): string | undefined {
  const scheme = /^bearer +(\S+) *$/i.exec(headers.authorization ?? '');
  if (scheme !== null) return scheme[1];
  if (headers.upgrade?.toLowerCase() !== 'websocket') return undefined;
  const offered = headers['sec-websocket-protocol']?.split(',').map((protocol) => protocol.trim());
  return offered?.find((protocol) => protocol.startsWith(WS_TOKEN_PREFIX))?.slice(WS_TOKEN_PREFIX.length);
}
