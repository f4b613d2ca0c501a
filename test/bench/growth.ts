/** What an epoch leaves on the disk for each contributor, before and after pruning, in the files of the product. */
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { World } from '../../src/simulation/index.ts';
import { openBlocks, openLedger, openNodeStore } from '../../src/storage/index.ts';
import { type BlockRecord, encodeAggregate } from '../../src/wire/index.ts';
import type { BenchRow } from './row.ts';
import { temporaryFolder } from './temporary.ts';

const CONTRIBUTORS = 4;
/** Epochs that are kept whole, and those after which growth is measured: until then pages are only filled. */
const [RETAIN, FROM, TO] = [10, 20, 60];
/** Bytes a contributor and epoch that the protocol aims at (PROTOCOL section 3). */
const AIM = 250;

export async function rows(): Promise<BenchRow[]> {
  const world = new World({ nodes: CONTRIBUTORS, seed: 3, rules: { minDeadlineMs: 100 } });
  try {
    await world.boot();
    const { chain } = world.node(0).up.ctx;
    await world.clock.runUntil(() => chain.finalized.state.epoch >= TO, world.clock.nowMs() + 600_000);
    return [...measured(world, Number.POSITIVE_INFINITY, 'nothing pruned'), ...measured(world, RETAIN, 'old entries dropped')];
  } finally {
    world.stop();
  }
}

/** Writes the world's epochs to real stores as a daemon does, and reads how the pages in use grow. */
function measured(world: World, retain: number, how: string): BenchRow[] {
  using temporary = temporaryFolder();
  const names = ['ledger', 'blocks', 'node'] as const;
  const paths = names.map((name) => join(temporary.path, `${name}.db`));
  const [ledgerPath, blocksPath, nodePath] = paths as [string, string, string];
  using entries = openLedger(ledgerPath);
  using blocks = openBlocks(blocksPath);
  using store = openNodeStore(nodePath);
  const { chain, ports } = world.node(0).up.ctx;
  const cut = (epoch: number) => {
    const [from, to] = [chain.at(epoch - 1), chain.at(epoch)].map((applied) => applied?.state.treeSize ?? 0);
    return chain.order.slice(from as number, to as number).map(({ entry }) => entry);
  };
  const before: number[] = [];
  for (let epoch = 1; epoch <= TO; epoch++) {
    entries.append(cut(epoch));
    blocks.append(ports.blocks.get(epoch) as BlockRecord);
    const { header, body } = chain.at(epoch) ?? {};
    if (header !== undefined) store.set(`aggregate/${body?.aggregateHash}`, encodeAggregate(header));
    if (epoch > retain) entries.drop(cut(epoch - retain).map(({ id }) => id));
    if (epoch === FROM) before.push(...paths.map(bytesInUse));
  }
  return names.map((name, i) => {
    const value = (bytesInUse(paths[i] as string) - (before[i] as number)) / (TO - FROM) / CONTRIBUTORS;
    const what = { ledger: 'entries', blocks: 'blocks and certificates', node: 'headers of aggregates' }[name];
    const unit = 'bytes a contributor and epoch';
    return { bench: 'growth', case: `${what}, ${how}`, value, unit, baseline: `${AIM} bytes`, ratio: value / AIM, n: TO - FROM };
  });
}

/** Pages that hold something; free ones are written again before the file grows. */
function bytesInUse(path: string): number {
  using db = new DatabaseSync(path);
  const read = (pragma: string): number => Number(Object.values(db.prepare(`PRAGMA ${pragma}`).get() ?? {})[0]);
  return (read('page_count') - read('freelist_count')) * read('page_size');
}
