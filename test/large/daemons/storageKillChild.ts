/**
 * Holds a founder's data folder and writes to all of its stores as fast as it can, until it is killed. Prints one line for
 * each thing after the store said that it is durable: `entry <id>`, `block <epoch> <hash>`, `blob <root>`, and
 * `vote <number> <value>` where a node would send it.
 */
import { randomInt } from 'node:crypto';
import { writeSync } from 'node:fs';
import { dataFolderAt, lockDataFolder } from '../../../src/storage/index.ts';
import { founderOf, openStores } from '../../support/dataFolder.ts';
import { LedgerWriter } from '../../support/ledgerWriter.ts';

const say = (...words: readonly (string | number)[]): number => writeSync(1, `${words.join(' ')}\n`);

const folder = dataFolderAt(process.argv[2] as string);
lockDataFolder(folder.lock);
const stores = openStores(folder);
const writer = await LedgerWriter.open(founderOf(folder), stores);
const content = (): Buffer => Buffer.alloc(4 * randomInt(1, 100_000), `${randomInt(2 ** 40)}`);

for (;;) {
  // One at a time, as a node writes its own; and many at once, as sync brings them.
  const count = randomInt(2) === 0 ? 1 : randomInt(1, 20);
  for (const { id } of writer.append(count)) say('entry', id);
  // A vote is on disk before it is sent; what was voted on once is never voted on again.
  const next =
    Number(
      Buffer.from(stores.store.get('vote') ?? '0')
        .toString()
        .split(' ')[0],
    ) + 1;
  const value = randomInt(2 ** 40);
  stores.store.set('vote', Buffer.from(`${next} ${value}`));
  say('vote', next, value);
  if (randomInt(3) === 0) {
    const { block } = await writer.finalise(content());
    say('block', block.header.epoch, block.hash);
  }
  if (randomInt(3) === 0) say('blob', await stores.blobs.put(content()));
}
