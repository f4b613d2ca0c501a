import type { z } from 'zod';
import type { MethodName } from './calls.ts';
import type { EventTopic, NodeService } from './service.ts';

/** A WebSocket, as `subscribe` sees it. Both are idempotent. */
export interface Connection {
  subscribe(topic: EventTopic): void;
  unsubscribe(topic: EventTopic): void;
}

/**
 * One JSON-RPC method: a plain object, so that the dispatcher, the OpenRPC document and the tests read the same
 * thing. `params` is a strict object; its key order is the order of positional parameters.
 */
export interface Method<P extends z.ZodObject = z.ZodObject> {
  readonly name: MethodName;
  readonly summary: string;
  readonly params: P;
  /** What a client may rely on; more may come. Holds in the tests, is not enforced at run time. */
  readonly result: z.ZodType;
  /** True for a method that answers only once something has happened; it is broken off when the API closes. */
  readonly waits?: boolean;
  /** `connection` is undefined over HTTP. Throws StarlingError. */
  run(service: NodeService, params: z.output<P>, connection: Connection | undefined): unknown;
}

export const defineMethod = <P extends z.ZodObject>(method: Method<P>): Method<P> => method;
