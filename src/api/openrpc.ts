import { z } from 'zod';
import type { Method } from './method.ts';

/** JSON Schema of a zod type; draft 7 is what OpenRPC 1.3 speaks. */
const jsonSchema = (type: z.ZodType, io: 'input' | 'output'): Record<string, unknown> => {
  const { $schema: _, ...schema } = z.toJSONSchema(type, { target: 'draft-7', io }) as Record<string, unknown>;
  return schema;
};

/** The API described by itself: an OpenRPC 1.3.2 document (https://spec.open-rpc.org). */
export function openRpcDocument(methods: readonly Method[], version: string): Record<string, unknown> {
  return {
    openrpc: '1.3.2',
    info: {
      title: 'Starling',
      description: 'JSON-RPC 2.0 API of one Starling daemon, for its own machine.',
      version,
      license: { name: 'Apache-2.0' },
    },
    methods: methods.map((method) => ({
      name: method.name,
      summary: method.summary,
      paramStructure: 'either',
      params: parameters(method),
      result: { name: `${method.name}_result`, schema: jsonSchema(method.result, 'output') },
    })),
  };
}

function parameters(method: Method): object[] {
  return Object.entries(method.params.shape).map(([name, type]) => {
    const schema = jsonSchema(type as z.ZodType, 'input');
    return { name, required: !(type as z.ZodType).safeParse(undefined).success, schema };
  });
}
