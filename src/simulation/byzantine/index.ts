import { Random } from '../../learning/random.ts';
import type { Intercept } from '../node.ts';
import type { LiarKind } from '../scenario.ts';
import { lyingSync, silent, withholding } from './data.ts';
import { type Behaviour, Interceptor, type LiarTools } from './interceptor.ts';
import { certaintyLiar, equivocatingAuthor } from './roster.ts';
import { equivocatingVoter, staleProposer } from './votes.ts';

const BEHAVIOURS: Readonly<Record<LiarKind, (tools: LiarTools) => Behaviour>> = {
  'equivocating-voter': equivocatingVoter,
  'equivocating-author': equivocatingAuthor,
  silent,
  withholding,
  'lying-sync': lyingSync,
  'stale-proposer': staleProposer,
  'certainty-liar': certaintyLiar,
};

/** The dishonest nodes of one run. They are honest until `begin`: a swarm forms first. */
export class Liars {
  readonly #kinds: ReadonlyMap<number, LiarKind>;
  readonly #seed: number;
  #active = false;

  constructor(liars: readonly { readonly node: number; readonly kind: LiarKind }[], seed: number) {
    this.#kinds = new Map(liars.map(({ node, kind }) => [node, kind]));
    this.#seed = seed;
  }

  has(node: number): boolean {
    return this.#kinds.has(node);
  }

  kindOf(node: number): LiarKind | undefined {
    return this.#kinds.get(node);
  }

  begin(): void {
    this.#active = true;
  }

  readonly intercept: Intercept = (node, ports, port, swarm) => {
    const kind = this.#kinds.get(node.index);
    if (kind === undefined) return ports;
    const random = Random.from(this.#seed, 'liar', node.index);
    const sides = new Map<string, boolean>();
    const tools: LiarTools = {
      identity: node.identity,
      swarm,
      random,
      port,
      isLeft(peer) {
        const known = sides.get(peer);
        const side = known ?? sides.size % 2 === 0;
        if (known === undefined) sides.set(peer, side);
        return side;
      },
    };
    const interceptor = new Interceptor(port, BEHAVIOURS[kind](tools), () => this.#active);
    return { ...ports, gossip: interceptor, streams: interceptor };
  };
}
