/** float32 all-reduce by torch.distributed over gloo, where some Python here has torch. */
import { execFile, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { median } from './samples.ts';

const SCRIPT = fileURLToPath(new URL('./gloo.py', import.meta.url));
/** Asked one after the other; Debian's python3-torch belongs to Debian's own. */
const INTERPRETERS = ['python3', '/usr/bin/python3', 'python'];

/** The first interpreter that imports torch with gloo; undefined where none does (Debian: apt-get install python3-torch). */
export const torchPython = (): string | undefined =>
  INTERPRETERS.find(
    (python) => spawnSync(python, ['-c', 'import torch.distributed as d; d.ProcessGroupGloo'], { stdio: 'ignore' }).status === 0,
  );

export interface GlooInput {
  readonly python: string;
  readonly members: number;
  /** Of rank 0, and the interface that all use. */
  readonly address: string;
  readonly port: number;
  readonly device: string;
  /** The command that runs another where a member is. */
  readonly through: (member: number) => readonly string[];
  readonly elements: number;
  readonly runs: number;
}

/** Ms of the slowest member, and of processor time of all members together; medians over the runs. */
export async function gloo({ python, members, address, port, device, through, elements, runs }: GlooInput) {
  const rank = async (member: number): Promise<{ ms: number[]; cpuMs: number[] }> => {
    const argv = [...through(member), python, SCRIPT, ...[member, members, address, port, elements, runs].map(String)];
    const env = { ...process.env, GLOO_SOCKET_IFNAME: device };
    const { stdout } = await promisify(execFile)(argv[0] as string, argv.slice(1), { env });
    return JSON.parse(stdout) as { ms: number[]; cpuMs: number[] };
  };
  const ranks = await Promise.all(Array.from({ length: members }, (_, member) => rank(member)));
  const over = (pick: (run: number) => number): number => median(Array.from({ length: runs }, (_, run) => pick(run)));
  return {
    ms: over((run) => Math.max(...ranks.map(({ ms }) => ms[run] as number))),
    cpuMs: over((run) => ranks.reduce((sum, { cpuMs }) => sum + (cpuMs[run] as number), 0)),
  };
}
