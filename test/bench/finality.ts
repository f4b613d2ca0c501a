import { commitRows, voteRows } from './finalityCommits.ts';
import { daemonRows } from './finalityDaemons.ts';
import { engineRows, votesOnlyRows } from './finalitySimulated.ts';
import type { BenchRow } from './row.ts';

/** What it takes until a block is final: time, disk, processor, bytes, and what stays in the ledger. */
export async function rows(): Promise<BenchRow[]> {
  return [...commitRows(), ...voteRows(), ...votesOnlyRows(), ...(await engineRows()), ...(await daemonRows())];
}
