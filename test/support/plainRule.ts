import { type NegotiationConfig, type Option, optionOf, type StanceView } from '../../src/consensus/index.ts';
import { NEGOTIATION } from '../../src/spec/index.ts';
import type { Rule } from './rosterWorld.ts';

/**
 * The rule this project does not use, for comparison: p <- (1 - a) p + a * (certainty-weighted share of each option
 * among the latest stances), with no gate and no test of what an option contains. Everything else, the gossip, the
 * freeze, the stop and the hand-over, is as in `Negotiation`.
 */
export function plainRule(config: NegotiationConfig): Rule {
  const held = new Set<string>();
  const latest = new Map<string, StanceView>();
  const options = new Map<string, Option>();
  const known = (): ReturnType<Rule['known']> => ({ attests: [], stances: [...latest.values()] });
  let frozen: { atMs: number; own: Option } | null = null;
  let p = new Map<string, number>();
  let streak = 0;
  let seq = 0;
  let stop: Awaited<ReturnType<Rule['tick']>>['stop'] = null;

  return {
    hold: (id) => void held.add(id),
    freeze(nowMs) {
      const own = optionOf(held);
      frozen = { atMs: nowMs, own };
      options.set(own.digest, own);
      p = new Map([[own.digest, 1]]);
      return null;
    },
    onAttest: () => 'known',
    onStance(stance) {
      if (stance.node === config.self || (latest.get(stance.node)?.seq ?? -1) >= stance.seq) return 'stale';
      latest.set(stance.node, stance);
      if (!options.has(stance.option)) options.set(stance.option, optionOf(stance.optionIds));
      return 'new';
    },
    known,
    async tick(nowMs) {
      if (frozen === null) return { stance: null, stop, state: 'waiting', provisional: false };
      const influence = new Map<string, number>();
      const raw = new Map<string, number>();
      for (const { option, optionIds, prefs } of latest.values()) {
        if (!optionIds.every((id) => held.has(id))) continue;
        raw.set(option, (raw.get(option) ?? 0) + 1);
        influence.set(option, (influence.get(option) ?? 0) + certainty(prefs.map(([, x]) => x)));
      }
      const total = [...influence.values()].reduce((sum, x) => sum + x, 0);
      if (total > 0) {
        p = new Map([...p].map(([k, x]) => [k, x * (1 - NEGOTIATION.a)]));
        for (const [k, x] of influence) p.set(k, (p.get(k) ?? 0) + (NEGOTIATION.a * x) / total);
      }
      const [[top]] = [...p].sort((x, y) => y[1] - x[1]) as [[string, number]];
      const choice = options.get(top) as Option;
      const prefs = [...p].slice(0, NEGOTIATION.keep).map(([k, x]) => [k, Math.round(x * 65_535)] as const);
      const stance = { node: config.self, seq: ++seq, option: top, optionIds: choice.ids, prefs };
      latest.set(config.self, stance);
      streak = 3 * (raw.get(top) ?? 0) > 2 * config.seats.length && certainty([...p.values()]) >= 0.5 ? streak + 1 : 0;
      if (streak >= 2) stop ??= { option: choice.ids, why: 'agreed' };
      if (nowMs - frozen.atMs >= NEGOTIATION.handOverMs) stop ??= { option: choice.ids, why: 'deadline' };
      return { stance, stop, state: stop === null ? 'negotiating' : 'stopped', provisional: false };
    },
  };
}

/** 1 - H(p)/ln|p|. */
function certainty(weights: readonly number[]): number {
  const positive = weights.filter((x) => x > 0);
  if (positive.length < 2) return 1;
  const total = positive.reduce((sum, x) => sum + x, 0);
  const entropy = positive.reduce((sum, x) => sum - (x / total) * Math.log(x / total), 0);
  return 1 - entropy / Math.log(positive.length);
}
