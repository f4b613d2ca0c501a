/**
 * For `node --import`: breaks one weight in one daemon of a demo. In the process that runs node 1, every model that an
 * epoch gives has its first weight off by one unit in the last place. Any other process is left as it is.
 */
import { registerHooks } from 'node:module';

const MODULE = '/src/aggregation/apply.ts';
const LAST_LINE = /return next;\n}\n$/;

if (process.argv[2] === 'daemon' && process.argv.some((flag) => flag.endsWith('/node1')))
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context);
      if (!url.endsWith(MODULE)) return loaded;
      const source = Buffer.from(loaded.source as Uint8Array).toString();
      if (!LAST_LINE.test(source)) throw new Error(`${MODULE} is not as this fault expects it`);
      return { ...loaded, source: source.replace(LAST_LINE, 'new Int32Array(next.buffer)[0] += 1;\n  return next;\n}\n') };
    },
  });
