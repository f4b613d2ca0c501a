import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { TransportName } from './networkHosts.ts';

export interface Child {
  readonly peerId: string;
  readonly seedHex: string;
  readonly listen: string;
  kill(): Promise<void>;
}

/** A host in a process of its own that echoes on `head`; `as` gives it the identity and port of an earlier one. */
export async function startChild(transport: TransportName, bootstrap: readonly string[], as?: Child): Promise<Child> {
  const script = fileURLToPath(new URL('networkChild.ts', import.meta.url));
  const args = [script, transport, bootstrap.join(','), ...(as === undefined ? [] : [as.seedHex, as.listen])];
  const child: ChildProcess = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  const [told] = (await once(child, 'message')) as [Omit<Child, 'kill'>];
  return {
    ...told,
    kill: async () => {
      const exited = once(child, 'exit');
      child.kill('SIGKILL');
      await exited;
    },
  };
}
