import { join } from 'node:path';
import Hypercore from 'hypercore';
import { ZERO_HASH } from '../../src/crypto/index.ts';
import { Replica } from '../../src/epoch/replica.ts';
import { answerSync, type LedgerGraph, SyncClient } from '../../src/ledger/index.ts';
import type { EntryCore } from '../../src/spec/index.ts';
import { openLedger } from '../../src/storage/index.ts';
import type { BenchRow } from './row.ts';
import { median, timed } from './samples.ts';
import { identityOf, SWARM, signedLedger } from './signedLedger.ts';

/** Runs; the median is reported. */
const RUNS = 3;
/** Entries that are signed and appended one by one. */
const SINGLE = 1_000;
const HEAD = { epoch: 0, size: 0, root: ZERO_HASH };

/**
 * Append and replicate next to hypercore, which is one author's log: blocks of the same bytes, both sides on disk, both
 * in this process. Every entry here has its own signature, checked on arrival, and an append is on disk (fsync) when it
 * returns; hypercore signs the root of the log once an append and leaves the time of writing to the system.
 */
export async function hypercoreRows(folder: string): Promise<BenchRow[]> {
  const ours: { batch: number[]; single: number[]; replicated: number[] } = { batch: [], single: [], replicated: [] };
  const theirs: typeof ours = { batch: [], single: [], replicated: [] };
  const entries = signedLedger(1, SINGLE + 1, false);
  const bodies = entries.slice(1).map(({ core }) => core.body as EntryCore<'decision'>['body']);
  const blocks = entries.slice(1).map((entry) => Buffer.concat([entry.coreBytes, entry.signature]));
  for (let run = 0; run < RUNS; run++) {
    using batched = openLedger(join(folder, `batched hyper${run}.db`));
    ours.batch.push(await timed(() => batched.append(entries)));
    using written = openLedger(join(folder, `written hyper${run}.db`));
    const writer = new Replica({ swarm: SWARM, identity: identityOf('author 0'), store: written });
    writer.offer(entries.slice(0, 1));
    ours.single.push(
      await timed(() => {
        for (const body of bodies) writer.append('decision', body, ZERO_HASH, body.epoch - 1);
      }),
    );
    using copied = openLedger(join(folder, `copied hyper${run}.db`));
    const reader = new Replica({ swarm: SWARM, identity: identityOf('newcomer'), store: copied });
    ours.replicated.push(await timed(() => pull(reader, writer.graph)));
    if (copied.size() !== SINGLE + 1) throw new Error(`${copied.size()} of ${SINGLE + 1} entries arrived`);

    const log = new Hypercore(join(folder, `batched core${run}`));
    await log.ready();
    theirs.batch.push(await timed(() => log.append(blocks)));
    await log.close();
    const core = new Hypercore(join(folder, `written core${run}`));
    await core.ready();
    theirs.single.push(
      await timed(async () => {
        for (const block of blocks) await core.append(block);
      }),
    );
    const copy = new Hypercore(join(folder, `copied core${run}`), core.key);
    await copy.ready();
    theirs.replicated.push(await timed(() => download(copy, core)));
    if (copy.contiguousLength !== SINGLE) throw new Error(`${copy.contiguousLength} of ${SINGLE} blocks arrived`);
    await copy.close();
    await core.close();
  }
  const both = (times: typeof ours): number[] => times.single.map((ms, i) => ms + (times.replicated[i] as number));
  return [
    row(`append of ${SINGLE} in one batch`, ours.batch, theirs.batch),
    row(`append of ${SINGLE}, one by one`, ours.single, theirs.single),
    row(`replication of ${SINGLE}`, ours.replicated, theirs.replicated),
    row(`append of ${SINGLE}, one by one, and replication`, both(ours), both(theirs)),
  ];
}

/** Takes all that `source` holds, page by page, every rule and signature checked, on disk. */
export function pull(replica: Replica, source: LedgerGraph): void {
  const client = new SyncClient(replica.graph, HEAD);
  for (let request = client.next(); request !== undefined; request = client.next()) {
    replica.offer(client.receive(answerSync(source, HEAD, request).response));
  }
}

async function download(copy: Hypercore, core: Hypercore): Promise<void> {
  const [mine, yours] = [copy.replicate(true), core.replicate(false)];
  mine.pipe(yours).pipe(mine);
  await copy.update({ wait: true });
  await copy.download({ start: 0, end: core.length }).done();
  mine.destroy();
  yours.destroy();
}

function row(what: string, ours: readonly number[], theirs: readonly number[]): BenchRow {
  const [mine, yours] = [ours, theirs].map((times) => SINGLE / (median(times) / 1_000)) as [number, number];
  const baseline = `hypercore (${yours.toPrecision(3)} entries/s)`;
  return { bench: 'ledger', case: `${what}, Ed25519 only`, value: mine, unit: 'entries/s', baseline, ratio: mine / yours, n: RUNS };
}
