/** `starling fsck`: finds what is damaged in a data folder, keeps what holds together, and moves the rest aside. */
import { existsSync, rmSync } from 'node:fs';
import { asStarlingError, type ContentRoot, StarlingError } from '../spec/index.ts';
import { type Damage, type DataFolder, dataFolderAt, inspectBlobs, lockDataFolder, Quarantine } from '../storage/index.ts';
import { checkDatabases } from './fsckDatabases.ts';
import { checkGenesis, checkSmallFiles, type Finding } from './fsckFiles.ts';

/** Problems of one kind and file that are listed one by one; the others are counted. */
const LISTED = 100;

export interface Problem extends Damage {
  readonly repaired: boolean;
  readonly fix: string;
}

export interface FsckReport {
  /** Nothing is wrong, or nothing any more. */
  readonly ok: boolean;
  readonly data: string;
  readonly problems: readonly Problem[];
  /** Where the repair put what it took away. */
  readonly movedTo: string | null;
  /** What is sound. */
  readonly entries: number;
  readonly blocks: number;
  readonly blobs: number;
}

/**
 * Examines a data folder that no daemon uses; `repair` also mends it. `atMs` (milliseconds since 1970) names the folder of
 * what is moved aside. Throws NOT_FOUND where there is no folder, and DATA_IN_USE, naming who holds it.
 */
export async function fsck(data: string, { repair, atMs }: { readonly repair: boolean; readonly atMs: number }): Promise<FsckReport> {
  if (!existsSync(data))
    throw new StarlingError('NOT_FOUND', `${data} does not exist`, { field: 'data', fix: 'name the data folder with --data' });
  const folder = dataFolderAt(data);
  const quarantine = new Quarantine(folder, atMs);
  const problems: Problem[] = [];
  const settle = ({ damages, repair: mend, fix }: Finding): void => {
    if (damages.length === 0) return;
    const repaired = repair && mend !== undefined;
    if (repaired) mend();
    const todo = mend === undefined || repaired ? fix : `run \`starling fsck --repair\`; then ${fix}`;
    for (const damage of listed(damages)) problems.push({ ...damage, repaired, fix: todo });
  };

  using lock = takeLock(folder, quarantine, repair, settle);
  void lock;
  const checkContent = async (path: string, fix: string): Promise<ReadonlySet<ContentRoot>> => {
    const { damages, sound } = await inspectBlobs(path);
    const mend = (): void => {
      for (const damage of damages)
        if (damage.kind === 'unfinished') rmSync(damage.path, { recursive: true });
        else quarantine.take(damage.path);
    };
    settle({ damages, repair: mend, fix });
    return sound;
  };
  const blobs = await checkContent(folder.blobs, 'nothing more: content is fetched from a peer again when it is needed');
  const own = await checkContent(folder.own, 'nothing more: the node goes on without what it was owed, or cannot take this update back');
  for (const finding of checkSmallFiles(folder, quarantine)) settle(finding);
  const { genesis, finding } = checkGenesis(folder, blobs);
  settle(finding);
  const checked = await checkDatabases(folder, quarantine, genesis);
  for (const one of checked.findings) settle(one);
  return {
    ok: problems.every(({ repaired }) => repaired),
    data,
    problems,
    movedTo: quarantine.path ?? null,
    entries: checked.entries,
    blocks: checked.blocks,
    blobs: blobs.size + own.size,
  };
}

/** The folder's lock. A file that is no lock is no daemon's: then nobody can hold it, and a repair makes a new one. */
function takeLock(folder: DataFolder, quarantine: Quarantine, repair: boolean, settle: (finding: Finding) => void): Disposable {
  try {
    return lockDataFolder(folder.lock);
  } catch (e) {
    const error = asStarlingError(e);
    if (error.code !== 'DATA_CORRUPT') throw error;
    settle({
      damages: [{ kind: 'unreadable', where: 'lock.db', message: error.message }],
      repair: () => quarantine.take(folder.lock),
      fix: 'nothing more: it is made again',
    });
    return repair ? lockDataFolder(folder.lock) : { [Symbol.dispose]: () => {} };
  }
}

/** The first of each kind, and how many more there are. */
function listed(damages: readonly Damage[]): Damage[] {
  const groups = Map.groupBy(damages, ({ kind, where }) => `${kind} ${where.split(' ')[0]}`);
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    const rest = group.length - LISTED;
    if (first === undefined || rest <= 0) return group;
    return [...group.slice(0, LISTED), { ...first, message: `and ${rest} more like these` }];
  });
}
