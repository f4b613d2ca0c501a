import { z } from 'zod';
import { StarlingError } from '../../spec/errors.ts';
import { type Connection, defineMethod } from '../method.ts';
import { Topic } from '../schemas.ts';

const TopicParams = z.strictObject({ topic: Topic });
const TopicResult = z.looseObject({ topic: Topic });

function needConnection(connection: Connection | undefined): Connection {
  if (connection !== undefined) return connection;
  throw new StarlingError('BAD_USAGE', 'events need a connection that stays open', { fix: 'call it over WS /rpc' });
}

export const eventMethods = [
  defineMethod({
    name: 'subscribe',
    summary: 'Sends notifications `subscription` {topic, event} on this WebSocket from now on.',
    params: TopicParams,
    result: TopicResult,
    run(_service, { topic }, connection) {
      needConnection(connection).subscribe(topic);
      return { topic };
    },
  }),
  defineMethod({
    name: 'unsubscribe',
    summary: 'Ends the notifications of a topic on this WebSocket.',
    params: TopicParams,
    result: TopicResult,
    run(_service, { topic }, connection) {
      needConnection(connection).unsubscribe(topic);
      return { topic };
    },
  }),
];
