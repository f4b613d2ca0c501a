import { partAndHeal } from '../support/partedSwarm.ts';

// Fifty nodes over virtual time take minutes of computing: `npm run test:long`. The smaller ones are part of every test run.
describe('fifty nodes', function () {
  this.timeout(3_600_000);

  it('a fifth of all messages lost, twenty against thirty for five epochs, healed: one root', () =>
    partAndHeal({ nodes: 50, few: 20, seed: 1 }));
});
