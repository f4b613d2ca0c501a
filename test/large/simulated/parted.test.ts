import { partAndHeal } from '../../support/partedSwarm.ts';

describe('a swarm that loses a fifth of all messages, parted for five epochs and healed, comes to one root', function () {
  this.timeout(300_000);

  it('of ten, four apart from the others', () => partAndHeal({ nodes: 10, few: 4, seed: 1 }));

  it('of ten that average by a ring, four apart from the others', () => partAndHeal({ nodes: 10, few: 4, seed: 1, schedule: 'ring' }));

  it('of sixteen, six apart from the others', () => partAndHeal({ nodes: 16, few: 6, seed: 9 }));
});
