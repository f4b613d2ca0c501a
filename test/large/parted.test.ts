import { partAndHeal } from '../support/partedSwarm.ts';

describe('sixteen nodes', function () {
  this.timeout(300_000);

  it('a fifth of all messages lost, six apart from the others for five epochs, healed: one root', () =>
    partAndHeal({ nodes: 16, few: 6, seed: 9 }));
});
