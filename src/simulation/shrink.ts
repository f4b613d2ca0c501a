/** From a scenario that fails to a short one that fails in the same way. */
import type { Scenario } from './scenario.ts';

/** Runs that a search may take: each is a simulation. */
const MAX_RUNS = 120;

/**
 * `plan` MUST be a plan (every fault written out) that fails. `fails` runs one and says whether it still does. Tried, as
 * long as anything can be left out: fault events by delta debugging (Zeller and Hildebrandt, "Simplifying and isolating
 * failure-inducing input", IEEE TSE 28(2), 2002), dishonest nodes, the link's and the machines' faults, epochs, nodes.
 * The result fails; without any one of its events it does not, unless the search ran out of runs.
 */
export async function shrink(plan: Scenario, fails: (plan: Scenario) => Promise<boolean>, maxRuns = MAX_RUNS): Promise<Scenario> {
  let best = plan;
  let runs = 0;
  const keepIf = async (smaller: Scenario): Promise<boolean> => {
    if (runs >= maxRuns) return false;
    runs++;
    if (!(await fails(smaller))) return false;
    best = smaller;
    return true;
  };

  await keepIf({ ...best, epochs: 1 });
  await minimise(
    () => best.events,
    (events) => keepIf({ ...best, events }),
  );
  await minimise(
    () => best.byzantine,
    (byzantine) => keepIf({ ...best, byzantine }),
  );
  await minimise(
    () => best.forgetful,
    (forgetful) => keepIf({ ...best, forgetful }),
  );
  const { link } = best;
  for (const calm of [{ loss: 0 }, { duplication: 0 }, { reordering: 0 }, { delay: 'uniform' }] as const)
    if (Object.entries(calm).some(([key, value]) => link[key as keyof typeof link] !== value))
      await keepIf({ ...best, link: { ...best.link, ...calm } });
  if (best.clocks.drift > 0 || best.clocks.wall_ms > 0) await keepIf({ ...best, clocks: { drift: 0, wall_ms: 0 } });
  if (best.disk.write_ms > 0) await keepIf({ ...best, disk: { write_ms: 0 } });
  for (let epochs = best.epochs; epochs > 1; epochs = best.epochs) if (!(await keepIf({ ...best, epochs: Math.floor(epochs / 2) }))) break;
  for (let node = best.nodes - 1; node > 0 && best.nodes > 1; node--) await keepIf(withoutNode(best, node));
  return best;
}

/** The same with one node fewer: those after it move down, and what named it is gone. */
export function withoutNode(plan: Scenario, gone: number): Scenario {
  const moved = (node: number): number => (node > gone ? node - 1 : node);
  const rest = (nodes: readonly number[]): number[] => nodes.filter((n) => n !== gone).map(moved);
  return {
    ...plan,
    nodes: plan.nodes - 1,
    events: plan.events.flatMap((event): Scenario['events'] => {
      if (event.kind === 'partition') {
        const groups = event.groups.map(rest).filter((group) => group.length > 0);
        return groups.length === 0 ? [] : [{ ...event, groups }];
      }
      return event.node === gone ? [] : [{ ...event, node: moved(event.node) }];
    }),
    byzantine: plan.byzantine.filter((liar) => liar.node !== gone).map((liar) => ({ ...liar, node: moved(liar.node) })),
    forgetful: rest(plan.forgetful),
  };
}

/** ddmin: leaves out halves, then quarters, and so on, of what `current` gives, as long as `keepIf` takes the rest. */
async function minimise<T>(current: () => readonly T[], keepIf: (rest: T[]) => Promise<boolean>): Promise<void> {
  if (current().length > 0 && (await keepIf([]))) return;
  for (let parts = 2; current().length > 1; ) {
    const items = current();
    const size = Math.ceil(items.length / parts);
    let reduced = false;
    for (let at = 0; at < items.length && !reduced; at += size) reduced = await keepIf([...items.slice(0, at), ...items.slice(at + size)]);
    if (reduced) parts = Math.max(2, parts - 1);
    else if (size === 1) return;
    else parts = Math.min(items.length, parts * 2);
  }
}
