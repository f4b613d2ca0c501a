/**
 * What a rule over segments moves next to what it moves where every node gets every row: bytes that a member sends in answers, over
 * simulated streams and with everything else as it is in a daemon. The result is held against the rule over all rows at once.
 */
import { rowChunkElements } from '../../src/aggregation/index.ts';
import { AverageSwarm } from '../support/averageSwarm.ts';
import type { BenchRow } from './row.ts';

const SWARMS = [5, 8, 16];
const RULES = ['median', 'geometric-median'] as const;

export async function rows(): Promise<BenchRow[]> {
  const measured: BenchRow[] = [];
  for (const rule of RULES)
    for (const nodes of SWARMS) {
      const elements = nodes * rowChunkElements('int16');
      const swarm = new AverageSwarm({ nodes, elements, rule });
      let sent = 0;
      for (const node of swarm.nodes)
        node.answer = (_message, answer) => {
          sent += answer?.byteLength ?? 0;
          return answer;
        };
      swarm.begin();
      if (!(await swarm.run(swarm.nodes))) throw new Error(`${rule} of ${nodes} does not end`);
      const expected = await swarm.ruledOf(swarm.roster);
      for (const { averaged } of swarm.nodes)
        if (averaged === undefined || !Buffer.from(averaged.sum.buffer).equals(Buffer.from(expected.sum.buffer)))
          throw new Error(`${rule} of ${nodes} is wrong`);
      const value = sent / nodes / 2 ** 20;
      const everyRow = ((nodes - 1) * elements * 2) / 2 ** 20;
      const facts = { bench: 'rules', unit: 'MiB a member', baseline: 'every row to everyone', n: 1 };
      measured.push({ ...facts, case: `${rule}, ${nodes} members, ${elements} parameters`, value, ratio: value / everyRow });
    }
  return measured;
}
