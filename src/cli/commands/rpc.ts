import { StarlingError } from '../../spec/errors.ts';
import type { Register } from '../context.ts';

export const registerRpc: Register = (program, context) => {
  program
    .command('rpc <method> [json]')
    .description('call one method of the API; parameters as a JSON object or array')
    .action(async (method: string, json: string | undefined) => {
      const params = parseParameters(json ?? '{}');
      const client = await context.connect();
      const result = await client.rpc(method, params);
      context.output.result(result, () => JSON.stringify(result, null, 2));
    });
};

function parseParameters(json: string): object {
  let params: unknown;
  try {
    params = JSON.parse(json);
  } catch (cause) {
    throw new StarlingError(
      'BAD_USAGE',
      `the parameters are not JSON: ${(cause as Error).message}`,
      { field: 'json', fix: `quote them for the shell, e.g. '{"epoch":1}'` },
      { cause },
    );
  }
  if (typeof params === 'object' && params !== null) return params;
  throw new StarlingError('BAD_USAGE', 'the parameters must be a JSON object or array', {
    field: 'json',
    fix: `e.g. '{"epoch":1}' or '[1]'`,
  });
}
