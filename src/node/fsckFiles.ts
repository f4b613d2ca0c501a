/** The files of a data folder that are no databases: genesis, keys, token, peers, and what a crash left half-written. */
import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { readApiFile, readToken } from '../api/files.ts';
import { asStarlingError, type ContentRoot, type Genesis, type SwarmId } from '../spec/index.ts';
import { type Damage, type DataFolder, loadSeeds, openPeerBook, type Quarantine, REPAIRED } from '../storage/index.ts';
import { checkCertificate, decodeGenesis, swarmIdOf } from '../wire/index.ts';

/** A group of damages with one remedy. */
export interface Finding {
  readonly damages: readonly Damage[];
  /** Absent where only a person or a peer can help. */
  readonly repair?: () => void;
  /** What a person does, or what happens next after the repair. */
  readonly fix: string;
}

export interface Swarm {
  readonly genesis: Genesis;
  readonly swarm: SwarmId;
}

/** Names that `writeFileAtomic` and a repair give to what they have not finished. */
const UNFINISHED = new RegExp(`\\.\\d+\\.tmp$|\\${REPAIRED}(-wal|-shm)?$`);

export const hasDatabases = ({ ledger, blocks, node }: DataFolder): boolean => [ledger, blocks, node].some((path) => existsSync(path));

/** How a folder gets a genesis and an initial model again: only a peer has them. */
export const rejoinFix = (folder: DataFolder, swarm?: SwarmId): string =>
  `move ${folder.genesis} out of the folder and start \`starling daemon --bootstrap ADDR --swarm ${swarm ?? 'ID'}\`: genesis and initial model are fetched from that node, and the ledger stays. Without a genesis neither the archive nor a block can be checked: all are kept; run \`starling fsck\` again then`;

/** The swarm that the folder's genesis founds; `undefined` where it cannot be trusted. `sound`: roots of the blobs held. */
export function checkGenesis(
  folder: DataFolder,
  sound: ReadonlySet<ContentRoot>,
): { readonly genesis: Swarm | undefined; readonly finding: Finding } {
  const where = basename(folder.genesis);
  const failed = (damage: Damage, genesis?: Swarm) => ({
    genesis,
    finding: { damages: [damage], fix: rejoinFix(folder, genesis?.swarm) },
  });
  if (!existsSync(folder.genesis)) {
    if (hasDatabases(folder)) return failed({ kind: 'missing', where, message: 'there is a ledger, and no genesis to hold it against' });
    return { genesis: undefined, finding: { damages: [], fix: '' } };
  }
  const bytes = new Uint8Array(readFileSync(folder.genesis));
  try {
    const found = { genesis: decodeGenesis(bytes), swarm: swarmIdOf(bytes) };
    for (const founder of found.genesis.founders) checkCertificate(founder);
    const root = found.genesis.initialModelRoot;
    if (!sound.has(root))
      return failed(
        { kind: 'missing', where: join('blobs', root.slice(0, 2), root), message: 'the initial model is not there, or damaged' },
        found,
      );
    return { genesis: found, finding: { damages: [], fix: '' } };
  } catch (e) {
    return failed({ kind: 'unreadable', where, message: asStarlingError(e).message });
  }
}

/** Keys, token, peers and leftovers, each with its remedy. */
export function* checkSmallFiles(folder: DataFolder, quarantine: Quarantine): Generator<Finding> {
  yield checkIdentity(folder);
  const token = join(folder.path, 'api.token');
  yield readable(token, () => readToken(folder.path), quarantine, 'the daemon makes a new token when it starts');
  yield secret(token, 'whoever could read it could use the API: remove it, and the daemon makes another');
  yield readable(join(folder.path, 'api.json'), () => readApiFile(folder.path), quarantine, 'the daemon writes it again when it starts');
  yield readable(folder.peers, () => openPeerBook(folder.peers).load(), quarantine, 'peers are found again through --bootstrap');
  const leftovers = readdirSync(folder.path).filter((name) => UNFINISHED.test(name));
  yield {
    damages: leftovers.map((where) => ({ kind: 'unfinished', where, message: 'a file that was never written to its end' })),
    repair: () => {
      for (const name of leftovers) rmSync(join(folder.path, name));
    },
    fix: 'nothing more: it was never in use',
  };
}

function checkIdentity(folder: DataFolder): Finding {
  const where = basename(folder.identity);
  if (!existsSync(folder.identity)) {
    const damages: Damage[] = hasDatabases(folder) ? [{ kind: 'missing', where, message: 'this node has a ledger and no keys' }] : [];
    return { damages, fix: 'restore it from a backup; without it the next start makes a new identity, which joins as a stranger' };
  }
  const open = secret(folder.identity, 'if others could have read it, move it away to get a new identity');
  if (open.damages.length > 0) return open;
  try {
    loadSeeds(folder.identity);
    return { damages: [], fix: '' };
  } catch (e) {
    const { message, facts } = asStarlingError(e);
    return { damages: [{ kind: 'unreadable', where, message }], fix: String(facts.fix) };
  }
}

/** A file that nobody else may read. */
function secret(path: string, fix: string): Finding {
  const mode = statSync(path, { throwIfNoEntry: false })?.mode ?? 0;
  const damages: Damage[] =
    (mode & 0o077) === 0
      ? []
      : [{ kind: 'permissions', where: basename(path), message: `others may read it (mode ${(mode & 0o777).toString(8)})` }];
  return { damages, repair: () => chmodSync(path, 0o600), fix };
}

/** A file that is made again when it is gone. */
function readable(path: string, read: () => unknown, quarantine: Quarantine, fix: string): Finding {
  try {
    read();
    return { damages: [], fix };
  } catch (e) {
    const { message } = asStarlingError(e);
    return { damages: [{ kind: 'unreadable', where: basename(path), message }], repair: () => quarantine.take(path), fix };
  }
}
