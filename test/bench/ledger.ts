import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { verifyComposite, verifyEd25519, ZERO_HASH } from '../../src/crypto/index.ts';
import { Replica } from '../../src/epoch/replica.ts';
import { LedgerGraph } from '../../src/ledger/index.ts';
import type { NodeCertificate, SignedEntry } from '../../src/spec/index.ts';
import { openLedger } from '../../src/storage/index.ts';
import { checkCertificate, entryBytes, UPDATE_CONTEXT } from '../../src/wire/index.ts';
import { hypercoreRows, pull } from './ledgerHypercore.ts';
import type { BenchRow } from './row.ts';
import { median, quantile, timed } from './samples.ts';
import { contributionBody, identityOf, SWARM, signedLedger } from './signedLedger.ts';
import { temporaryFolder } from './temporary.ts';

/** Authors and entries of the ledger that is replicated. */
const AUTHORS = 8;
const ENTRIES = 5_000;
/** Runs of what is measured as a whole; the median is reported. */
const RUNS = 3;
/** Entries that are appended one by one. */
const SINGLE = 200;

/** Appends and commits against a plain file with fsync; replication against its signature checks alone; both against hypercore. */
export async function rows(): Promise<BenchRow[]> {
  using temporary = temporaryFolder();
  const folder = temporary.path;
  const mixed = signedLedger(AUTHORS, ENTRIES, true);
  const plain = signedLedger(AUTHORS, ENTRIES, false);
  return [
    ...(await batchedAppends(folder, mixed)),
    ...singleAppends(folder, mixed),
    ...commits(folder),
    ...(await replication(folder, 'half of them contributions', mixed)),
    ...(await replication(folder, 'Ed25519 only', plain)),
    ...(await hypercoreRows(folder)),
  ];
}

/** All entries in one transaction, one fsync. */
async function batchedAppends(folder: string, entries: readonly SignedEntry[]): Promise<BenchRow[]> {
  const [stored, written]: [number[], number[]] = [[], []];
  for (let run = 0; run < RUNS; run++) {
    using store = openLedger(join(folder, `batched${run}.db`));
    stored.push(await timed(() => store.append(entries)));
    written.push(await timed(() => appendToFile(join(folder, `batched${run}.log`), [entries])));
  }
  const rate = entries.length / (median(stored) / 1_000);
  const ratio = median(written) / median(stored);
  const baseline = 'plain file, one fsync';
  return [row(`append, ${entries.length} in one transaction`, rate, 'entries/s', baseline, ratio, RUNS)];
}

/** One transaction and one fsync an entry. */
function singleAppends(folder: string, entries: readonly SignedEntry[]): BenchRow[] {
  const some = entries.slice(0, SINGLE);
  using store = openLedger(join(folder, 'single.db'));
  const stored = each(some, (entry) => store.append([entry]));
  const written = appendToFile(
    join(folder, 'single.log'),
    some.map((entry) => [entry]),
  );
  const rate = SINGLE / (sum(stored) / 1_000);
  return [row('append, one fsync each', rate, 'entries/s', 'plain file, one fsync each', sum(written) / sum(stored), SINGLE)];
}

/** A contribution as a node commits it: built, signed with both keys, and on disk. */
function commits(folder: string): BenchRow[] {
  using store = openLedger(join(folder, 'commit.db'));
  const identity = identityOf('author 0');
  const replica = new Replica({ swarm: SWARM, identity, store });
  const [join0] = signedLedger(1, 1, false);
  replica.offer([join0 as SignedEntry]);
  const epochs = Array.from({ length: SINGLE }, (_, i) => i + 1);
  const committed = each(epochs, (epoch) => replica.append('contribution', contributionBody(epoch), ZERO_HASH, epoch - 1));
  const written = appendToFile(
    join(folder, 'commit.log'),
    [...store.all()].slice(1).map((entry) => [entry]),
  );
  return [0.5, 0.99].map((q) => {
    const [value, baseline] = [quantile(committed, q), quantile(written, q)];
    return row(`commit of a contribution p${100 * q}`, value, 'ms', 'plain file append and fsync', value / baseline, SINGLE);
  });
}

/** From one replica to an empty one on disk: sync frames, decoding, every rule and signature, and storage. One thread. */
async function replication(folder: string, what: string, entries: readonly SignedEntry[]): Promise<BenchRow[]> {
  const source = new LedgerGraph();
  for (const entry of entries) source.add(entry);
  const [replicated, checked]: [number[], number[]] = [[], []];
  for (let run = 0; run < RUNS; run++) {
    using store = openLedger(join(folder, `${what}${run}.db`));
    const replica = new Replica({ swarm: SWARM, identity: identityOf('newcomer'), store });
    replicated.push(await timed(() => pull(replica, source)));
    if (store.size() !== entries.length) throw new Error(`${store.size()} of ${entries.length} entries arrived`);
    checked.push(await timed(() => checkSignatures(entries)));
  }
  const rate = entries.length / (median(replicated) / 1_000);
  const ratio = median(checked) / median(replicated);
  return [row(`replication of ${entries.length}, ${what}`, rate, 'entries/s', 'their signature checks alone', ratio, RUNS)];
}

function checkSignatures(entries: readonly SignedEntry[]): void {
  const certificates = new Map<string, NodeCertificate>();
  for (const { core, coreBytes, signature, composite } of entries) {
    if (core.kind === 'join') {
      checkCertificate(core.body.certificate);
      certificates.set(core.author, core.body.certificate);
    }
    const keys = certificates.get(core.author) as NodeCertificate;
    const message = entryBytes(coreBytes);
    const holds =
      verifyEd25519(message, signature, keys.ed25519PublicKey) &&
      (composite === undefined || verifyComposite(UPDATE_CONTEXT, message, composite, keys));
    if (!holds) throw new Error('a signature does not hold');
  }
}

/** The same bytes to a plain file: ms for each group, which ends in an fsync. */
function appendToFile(path: string, groups: readonly (readonly SignedEntry[])[]): number[] {
  const file = openSync(path, 'ax');
  try {
    return each(groups, (group) => {
      writeSync(
        file,
        Buffer.concat(group.flatMap((entry) => [entry.coreBytes, entry.signature, ...(entry.composite ? [entry.composite] : [])])),
      );
      fsyncSync(file);
    });
  } finally {
    closeSync(file);
  }
}

function each<T>(items: readonly T[], work: (item: T) => unknown): number[] {
  return items.map((item) => {
    const startMs = performance.now();
    work(item);
    return performance.now() - startMs;
  });
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

const row = (what: string, value: number, unit: string, baseline: string, ratio: number, n: number): BenchRow => ({
  bench: 'ledger',
  case: what,
  value,
  unit,
  baseline,
  ratio,
  n,
});
