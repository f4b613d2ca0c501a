/** What an epoch leaves on the disk for each contributor, before and after pruning, in the files of the product. */
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { World } from '../../src/simulation/index.ts';
import { openBlocks, openLedger, openNodeStore } from '../../src/storage/index.ts';
import type { BenchRow } from './row.ts';
import { temporaryFolder } from './temporary.ts';

const CONTRIBUTORS = 4;
/**
 * Epochs between snapshots, epochs kept whole, and those between which growth is measured. It begins behind the 64 for which a node keeps
 * its own updates: until then it fills what it holds anyway. A page more or less is 4,096 bytes, 5 a contributor and epoch of these.
 */
const [SNAPSHOT, RETAIN, FROM, TO] = [10, 10, 100, 300];
/** Bytes a contributor and epoch that the protocol aims at (PROTOCOL section 3). */
const AIM = 250;
const STORES = { ledger: 'entries', blocks: 'blocks, certificates and archive', node: 'headers of aggregates, facts' } as const;

export async function rows(): Promise<BenchRow[]> {
  return [...(await measured(TO, 'nothing pruned')), ...(await measured(RETAIN, `all pruned that is ${RETAIN} epochs old`))];
}

/** A simulated swarm of which one node writes into the files of the product: how the pages in use grow. */
async function measured(retainEpochs: number, how: string): Promise<BenchRow[]> {
  using temporary = temporaryFolder();
  const paths = (Object.keys(STORES) as (keyof typeof STORES)[]).map((name) => join(temporary.path, `${name}.db`));
  const [ledgerPath, blocksPath, nodePath] = paths as [string, string, string];
  using entries = openLedger(ledgerPath);
  using blocks = openBlocks(blocksPath);
  using store = openNodeStore(nodePath);
  const rules = { minDeadlineMs: 100, snapshotEpochs: SNAPSHOT, retainEpochs };
  const world = new World({ nodes: CONTRIBUTORS, seed: 3, rules });
  Object.assign(world.node(0).disk, { entries, blocks, store });
  const sizesAt = async (epoch: number): Promise<number[]> => {
    const { chain } = world.node(0).up.ctx;
    await world.clock.runUntil(() => chain.finalized.state.epoch >= epoch, world.clock.nowMs() + 600_000);
    return paths.map(bytesInUse);
  };
  try {
    await world.boot();
    const [before, after] = [await sizesAt(FROM), await sizesAt(TO)];
    const grown = paths.map((_, i) => ((after[i] as number) - (before[i] as number)) / (TO - FROM) / CONTRIBUTORS);
    const unit = 'bytes a contributor and epoch';
    const row = (what: string, value: number): BenchRow => ({
      bench: 'growth',
      case: `${what}, ${how}`,
      value,
      unit,
      baseline: `${AIM} bytes`,
      ratio: value / AIM,
      n: TO - FROM,
    });
    return [
      ...Object.values(STORES).map((what, i) => row(what, grown[i] as number)),
      row(
        'all of these',
        grown.reduce((a, b) => a + b),
      ),
    ];
  } finally {
    world.stop();
  }
}

/** Pages that hold something; free ones are written again before the file grows. */
function bytesInUse(path: string): number {
  using db = new DatabaseSync(path);
  const read = (pragma: string): number => Number(Object.values(db.prepare(`PRAGMA ${pragma}`).get() ?? {})[0]);
  return (read('page_count') - read('freelist_count')) * read('page_size');
}
