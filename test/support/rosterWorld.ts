/**
 * A roster negotiation in virtual time: honest nodes run the rule under test, liars one of the attacks below, over
 * gossip that loses, delays and can be cut in two. Everything follows from the seed. Time 0 is the deadline; nodes
 * freeze around FREEZE_MS, the dissemination time after it.
 */
import { createReference } from '../../src/compute/index.ts';
import { Negotiation, type NegotiationConfig, optionOf, type StanceView } from '../../src/consensus/index.ts';
import { sha256, toHex, utf8 } from '../../src/crypto/hash.ts';
import { NEGOTIATION } from '../../src/spec/index.ts';
import { type Attack, Liars } from './rosterLiars.ts';

export type Rule = Pick<Negotiation, 'hold' | 'freeze' | 'onAttest' | 'onStance' | 'known' | 'tick'>;

export interface Scenario {
  readonly nodes: number;
  readonly seed: number;
  readonly liars?: number;
  readonly attack?: Attack;
  /** The first `first` nodes of a shuffle hear nothing of the others until `healMs`. */
  readonly partition?: { readonly first: number; readonly healMs: number };
  /** Share of contributions that come in the last 300 ms. */
  readonly late?: number;
  readonly rule?: (config: NegotiationConfig) => Rule;
}

export interface Ending {
  readonly node: number;
  readonly side: 0 | 1;
  readonly option: string;
  readonly why: 'agreed' | 'deadline';
  /** Ms after FREEZE_MS. */
  readonly atMs: number;
  /** Where it stood when the negotiation was over, T_f + 4.5 s. */
  last: string | null;
}

export interface Result {
  /** One for each honest node. */
  readonly endings: readonly Ending[];
  readonly options: ReadonlySet<string>;
  /** When the last honest node stopped, in ms after FREEZE_MS. */
  readonly lastMs: number;
  /** Digest of the option that the liars of 'private' stand for. */
  readonly privateOption: string | null;
}

const FREEZE_MS = NEGOTIATION.disseminationMs;
const DEGREE = 7;
const compute = createReference();

export const fingerprintOf = (node: number): string => toHex(sha256(utf8(`node ${node}`)));
export const contributionOf = (node: number): string => toHex(sha256(utf8(`contribution ${node}`)));
/** f = floor((n - 1) / 3). */
export const mostLiars = (nodes: number): number => Math.floor((nodes - 1) / 3);

/** Mulberry32. */
function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

interface Honest {
  readonly index: number;
  readonly rule: Rule;
  readonly held: Set<string>;
  readonly seen: WeakSet<object>;
  stance: StanceView | null;
  ending: Ending | null;
}

export async function negotiate(scenario: Scenario): Promise<Result> {
  const { nodes, seed, liars: liarCount = 0, attack, partition, late = 0.12 } = scenario;
  const uniform = random(seed * 7919 + nodes * 31 + liarCount * 17 + 1);
  const between = (low: number, high: number): number => low + (high - low) * uniform();
  const loss = between(0.05, 0.2);
  const order = shuffled(nodes, uniform);
  const liarNodes = new Set(order.slice(0, liarCount));
  const side = order.map((_, node) => (partition !== undefined && order.indexOf(node) < partition.first ? 0 : 1) as 0 | 1);
  const neighbours = graph(nodes, uniform);
  const queue = new Queue();
  let now = -1_500;

  const seats = order.map((_, node) => fingerprintOf(node));
  const makeRule = scenario.rule ?? ((config: NegotiationConfig): Rule => new Negotiation(config));
  const honest = new Map<number, Honest>();
  for (const index of order) {
    if (liarNodes.has(index)) continue;
    const rule = makeRule({ epoch: 1, base: '00'.repeat(32), self: fingerprintOf(index), seats });
    honest.set(index, { index, rule, held: new Set(), seen: new WeakSet(), stance: null, ending: null });
  }
  const liars = new Liars(attack ?? 'none', [...liarNodes], fingerprintOf, uniform);

  const send = (from: number, to: number, run: () => void, extraMs = 0): void => {
    const severed = partition !== undefined && side[from] !== side[to] && now > -200 && now < partition.healMs;
    if (!severed && uniform() >= loss) queue.push(now + between(20, 120) + extraMs, run);
  };
  const neighboursOf = (node: number): readonly number[] => neighbours[node] as readonly number[];
  const receive = (to: number, id: string): void => {
    const node = honest.get(to);
    if (node === undefined) liars.hold(id);
    if (node === undefined || node.held.has(id)) return;
    node.held.add(id);
    node.rule.hold(id);
    for (const next of neighboursOf(to)) send(to, next, () => receive(next, id), 30);
  };
  const hear = (to: number, from: number, held: ReadonlySet<string>, said: ReturnType<Rule['known']>): void => {
    const node = honest.get(to);
    if (node === undefined) return;
    for (const attestation of said.attests) {
      if (node.seen.has(attestation)) continue;
      node.seen.add(attestation);
      node.rule.onAttest(attestation);
    }
    for (const stance of said.stances) node.rule.onStance(stance);
    // What the sender has and this node lacks is asked for: there and back, then the content.
    for (const id of held) if (!node.held.has(id)) send(to, from, () => send(from, to, () => receive(to, id), 30));
  };
  const peersOf = (node: number): readonly number[] => {
    const one = Math.floor(uniform() * nodes);
    return one === node ? neighboursOf(node) : [...neighboursOf(node), one];
  };

  const tick = async (node: Honest): Promise<void> => {
    queue.push(now + between(NEGOTIATION.tickMinMs, NEGOTIATION.tickMaxMs), () => tick(node));
    await act(node);
  };
  const act = async (node: Honest): Promise<void> => {
    const { stance, stop } = await node.rule.tick(now, compute);
    node.stance = stance;
    if (stop !== null && node.ending === null) {
      const { digest } = optionOf(stop.option);
      node.ending = {
        node: node.index,
        side: side[node.index] ?? 1,
        option: digest,
        why: stop.why,
        atMs: now - FREEZE_MS,
        last: null,
      };
    }
    if (node.ending !== null && now > FREEZE_MS + 60 + NEGOTIATION.handOverMs) node.ending.last = stance?.option ?? null;
    const said = node.rule.known();
    const held = new Set(node.held);
    for (const to of peersOf(node.index)) send(node.index, to, () => hear(to, node.index, held, said));
  };
  const lie = (node: number): void => {
    const ranking = rank([...honest.values()].flatMap(({ stance }) => stance ?? []));
    for (const to of new Set(peersOf(node)))
      if (honest.has(to)) {
        const said = liars.say(node, to, now - FREEZE_MS, ranking);
        send(node, to, () => hear(to, node, liars.held(), said));
      }
    queue.push(now + between(NEGOTIATION.tickMinMs, NEGOTIATION.tickMaxMs), () => lie(node));
  };

  for (const node of order) {
    const chance = uniform();
    const contributesAt = chance < 0.97 - late ? between(-1_400, -400) : chance < 0.97 ? between(-300, -5) : null;
    if (liarNodes.has(node)) {
      liars.hold(contributionOf(node));
      if (liars.withholds) {
        // Shown to some just before they freeze, so that attestations of it are near a threshold.
        queue.push(FREEZE_MS - between(60, 150), () => {
          for (const to of honest.keys()) if (uniform() < 0.35) queue.push(now + between(20, 60), () => receive(to, contributionOf(node)));
        });
      } else if (contributesAt !== null)
        queue.push(contributesAt, () => {
          for (const to of neighboursOf(node)) send(node, to, () => receive(to, contributionOf(node)));
        });
      queue.push(FREEZE_MS + between(0, 100), () => lie(node));
      continue;
    }
    if (contributesAt !== null) {
      if (contributesAt < -400) liars.sawEarly(contributionOf(node));
      queue.push(contributesAt, () => receive(node, contributionOf(node)));
    }
    const player = honest.get(node) as Honest;
    const freezeAt = FREEZE_MS + between(-50, 50);
    queue.push(between(-1_000, -850), () => tick(player));
    queue.push(freezeAt, () => {
      player.rule.freeze(now);
      return act(player);
    });
  }

  const running = (): boolean => [...honest.values()].some(({ ending }) => ending === null || ending.last === null);
  for (let event = queue.pop(); event !== undefined && running(); event = queue.pop()) {
    now = event.at;
    await event.run();
  }
  const endings = [...honest.values()].flatMap(({ ending }) => ending ?? []);
  return {
    endings,
    options: new Set(endings.map(({ option }) => option)),
    lastMs: Math.max(...endings.map(({ atMs }) => atMs)),
    privateOption: liars.privateOption?.digest ?? null,
  };
}

/** Distinct stances of the honest nodes by following, the most popular first. */
function rank(stances: readonly StanceView[]): readonly StanceView[] {
  const camps = [...Map.groupBy(stances, ({ option }) => option).values()];
  return camps.sort((a, b) => b.length - a.length).flatMap((camp) => camp.slice(0, 1));
}

/** Random graph of degree about 7, at most 8. */
function graph(nodes: number, uniform: () => number): readonly (readonly number[])[] {
  const links = Array.from({ length: nodes }, () => new Set<number>());
  const degree = Math.min(nodes - 1, DEGREE);
  for (const [node, own] of links.entries())
    for (let tries = 0; own.size < degree && tries < 60; tries++) {
      const other = Math.floor(uniform() * nodes);
      const theirs = links[other] as Set<number>;
      if (other === node || theirs.size >= NEGOTIATION.neighbours) continue;
      own.add(other);
      theirs.add(node);
    }
  return links.map((own) => [...own]);
}

function shuffled(length: number, uniform: () => number): number[] {
  const order = Array.from({ length }, (_, i) => i);
  for (let i = length - 1; i > 0; i--) {
    const j = Math.floor(uniform() * (i + 1));
    [order[i], order[j]] = [order[j] as number, order[i] as number];
  }
  return order;
}

interface Event {
  readonly at: number;
  readonly run: () => Promise<void> | void;
}

/** Binary heap by time. */
class Queue {
  readonly #heap: Event[] = [];

  push(at: number, run: Event['run']): void {
    const heap = this.#heap;
    let i = heap.push({ at, run }) - 1;
    for (let up = (i - 1) >> 1; i > 0 && at < (heap[up] as Event).at; i = up, up = (i - 1) >> 1) {
      [heap[i], heap[up]] = [heap[up] as Event, heap[i] as Event];
    }
  }

  pop(): Event | undefined {
    const heap = this.#heap;
    const top = heap[0];
    const last = heap.pop();
    if (top === undefined || last === undefined || heap.length === 0) return top;
    heap[0] = last;
    for (let i = 0; ; ) {
      let least = i;
      for (const child of [2 * i + 1, 2 * i + 2])
        if (child < heap.length && (heap[child] as Event).at < (heap[least] as Event).at) least = child;
      if (least === i) return top;
      [heap[i], heap[least]] = [heap[least] as Event, heap[i] as Event];
      i = least;
    }
  }
}
