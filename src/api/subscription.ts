import { StarlingError } from '../spec/errors.ts';
import type { EventTopic } from './service.ts';

export interface Subscription {
  /** Resolves when the connection ends, whoever ended it. */
  readonly closed: Promise<void>;
  close(): void;
}

/** Subprotocol of the WebSocket; the token rides beside it, because a browser cannot set a header here. */
export const WS_PROTOCOL = 'starling';
export const WS_TOKEN_PREFIX = 'bearer.';

/** Opens WS /rpc and subscribes to `topics`; resolves once the daemon has confirmed each. Throws DAEMON_DOWN. */
export async function openSubscription(
  url: string,
  token: string,
  topics: readonly EventTopic[],
  listener: (topic: EventTopic, event: unknown) => void,
  down: (message: string) => StarlingError,
): Promise<Subscription> {
  const socket = new WebSocket(`${url.replace(/^http/, 'ws')}/rpc`, [WS_PROTOCOL, `${WS_TOKEN_PREFIX}${token}`]);
  const closed = new Promise<void>((resolve) => socket.addEventListener('close', () => resolve(), { once: true }));
  const waiting = new Set(topics.map((_, id) => id));
  await new Promise<void>((resolve, reject) => {
    socket.addEventListener('open', () => {
      if (waiting.size === 0) resolve();
      topics.forEach((topic, id) => {
        socket.send(JSON.stringify({ jsonrpc: '2.0', id, method: 'subscribe', params: { topic } }));
      });
    });
    socket.addEventListener('message', ({ data }) => {
      const message = JSON.parse(String(data)) as Incoming;
      if (message.method === 'subscription' && message.params !== undefined) listener(message.params.topic, message.params.event);
      else if (message.error !== undefined) reject(new StarlingError('BAD_PARAMS', message.error.message));
      else if (message.id !== undefined && waiting.delete(message.id) && waiting.size === 0) resolve();
    });
    void closed.then(() => reject(down(`the WebSocket of ${url} closed`)));
  }).catch((error: unknown) => {
    socket.close();
    throw error;
  });
  return { closed, close: () => socket.close() };
}

interface Incoming {
  readonly id?: number;
  readonly method?: string;
  readonly params?: { readonly topic: EventTopic; readonly event: unknown };
  readonly error?: { readonly message: string };
}
