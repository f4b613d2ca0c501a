/**
 * `npm run attacks [-- FOLDER]` trains ten nodes on Fashion-MNIST (Debian's dataset-fashion-mnist, or the folder
 * named) under every attack and every rule, prints the accuracies as a table and writes docs/attacks.md.
 */
import { writeFileSync } from 'node:fs';
import { loadDataset } from '../../src/learning/index.ts';
import { AGGREGATION_RULES } from '../../src/spec/index.ts';
import { ATTACKS, type Attack } from './attackKinds.ts';
import { accuracyOf, SWARM, shardsOf } from './attackSwarm.ts';

const ATTACKERS = [1, 2, 3];
/** Points below the attack-free mean up to which a rule counts as having held. */
const HELD = 0.05;

const dataset = await loadDataset(process.argv[2] ?? '/usr/share/datasets/fashion-mnist');
const shards = shardsOf(dataset);
const line = async (attack: Attack, attackers: number): Promise<number[]> => {
  const accuracies: number[] = [];
  for (const rule of AGGREGATION_RULES) accuracies.push(await accuracyOf(shards, dataset.test, rule, attack, attackers));
  console.error(`${attack.name} ${attackers}: ${accuracies.map((a) => (100 * a).toFixed(1)).join(' ')}`);
  return accuracies;
};

const free = await line(ATTACKS[0] as Attack, 0);
const bar = (free[0] as number) - HELD;
const cells = (accuracies: readonly number[]): string =>
  accuracies.map((a) => (a >= bar ? `**${(100 * a).toFixed(1)}**` : (100 * a).toFixed(1))).join(' | ');
const lines = [`| none | 0 | ${cells(free)} |`];
for (const attack of ATTACKS) {
  for (const attackers of ATTACKERS) lines.push(`| ${attack.name} | ${attackers} | ${cells(await line(attack, attackers))} |`);
}

const { nodes, epochs, layers, samples, batch, lr, alpha, measured } = SWARM;
const page = `# Attacks and rules

Accuracy in percent on ${measured} held-out images of Fashion-MNIST after ${epochs} epochs of ${nodes} nodes, of which some attack. **Bold**: within
${100 * HELD} points of the mean without attackers. \`npm run attacks\` writes this page, from one seed.

| attack | attackers | ${AGGREGATION_RULES.join(' | ')} |
|---|---|${AGGREGATION_RULES.map(() => '---|').join('')}
${lines.join('\n')}

The attacks:

${ATTACKS.map(({ name, what }) => `- **${name}**: ${what}.`).join('\n')}

Every node trains a ${layers.join('-')} network on ${samples} images of its shard an epoch (batches of ${batch}, step ${lr}; class mixes drawn from
Dirichlet(${alpha}), so nodes differ). Updates are clipped and rounded as the daemon does it, attackers' too: a longer one would be refused. All
weights are alike, and trust, which would take attackers' weights away over the epochs, does not move: what is seen is the rule alone.
`;
writeFileSync(new URL('../../docs/attacks.md', import.meta.url), page);
console.log(page);
