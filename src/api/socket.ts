import { MIB } from '../spec/parameters.ts';
import type { Connection } from './method.ts';
import type { Dispatcher } from './rpc.ts';
import type { EventTopic, NodeService } from './service.ts';

/** The part of a `ws` socket that is used here. */
export interface Socket {
  readonly bufferedAmount: number;
  send(text: string): void;
  close(code: number, reason: string): void;
  on(event: 'message', listener: (data: Buffer) => void): void;
  on(event: 'close', listener: () => void): void;
}

/** Bytes waiting for a subscriber that does not read; past it the connection is closed rather than memory filled. */
const BACKLOG_MAX_BYTES = 4 * MIB;
/** RFC 6455 section 7.4.1: try again later. */
const CLOSE_TRY_AGAIN = 1013;

/**
 * Serves JSON-RPC and event notifications on one WebSocket. Its subscriptions end with it, or with `stopping`,
 * whichever comes first: a node that stops is not listened to any more.
 */
export function serveSocket(socket: Socket, dispatcher: Dispatcher, service: NodeService, stopping: AbortSignal): void {
  const subscriptions = new Map<EventTopic, () => void>();

  const send = (text: string) => {
    if (socket.bufferedAmount > BACKLOG_MAX_BYTES) socket.close(CLOSE_TRY_AGAIN, 'read faster');
    else socket.send(text);
  };
  const connection: Connection = {
    subscribe(topic) {
      if (subscriptions.has(topic)) return;
      const notify = (event: unknown) => send(JSON.stringify({ jsonrpc: '2.0', method: 'subscription', params: { topic, event } }));
      subscriptions.set(topic, service.subscribe(topic, notify));
    },
    unsubscribe(topic) {
      subscriptions.get(topic)?.();
      subscriptions.delete(topic);
    },
  };

  socket.on('message', (data) => {
    void dispatcher.handle(data.toString('utf8'), connection).then((response) => {
      if (response !== undefined) send(response);
    });
  });
  const end = () => {
    for (const topic of [...subscriptions.keys()]) connection.unsubscribe(topic);
  };
  stopping.addEventListener('abort', end);
  socket.on('close', () => {
    stopping.removeEventListener('abort', end);
    end();
  });
}
