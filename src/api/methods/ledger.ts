import { z } from 'zod';
import { entryJson } from '../entryJson.ts';
import { defineMethod } from '../method.ts';
import { Count, EntryResult, Epoch, Hash, NoParams } from '../schemas.ts';

/** Entries in one answer: an entry's JSON may take 70 KiB. */
const LIST_MAX = 1_000;
const LIST_DEFAULT = 100;
/** Characters. A signed checkpoint has some 5,000. */
const Note = z.string().max(65_536).describe('text of a signed checkpoint');

export const ledgerMethods = [
  defineMethod({
    name: 'ledger_head',
    summary: "Size and roots of the ledger, and the head of each author's chain.",
    params: NoParams,
    result: z.looseObject({
      epoch: Epoch,
      treeSize: Count,
      treeRoot: Hash,
      stateRoot: Hash,
      modelRoot: Hash,
      heads: z.array(z.looseObject({ author: Hash, seq: Count, head: Hash })),
    }),
    run: (service) => service.ledgerHead(),
  }),
  defineMethod({
    name: 'ledger_list',
    summary: 'Entries in ledger order.',
    params: z.strictObject({ from: Count.default(0), limit: z.int().min(1).max(LIST_MAX).default(LIST_DEFAULT) }),
    result: z.array(EntryResult),
    run: (service, { from, limit }) => service.ledgerList(from, limit).map(({ entry, index }) => entryJson(entry, index)),
  }),
  defineMethod({
    name: 'ledger_get',
    summary: 'One entry by its id.',
    params: z.strictObject({ id: Hash }),
    result: EntryResult,
    run(service, { id }) {
      const { entry, index } = service.ledgerGet(id);
      return entryJson(entry, index);
    },
  }),
  defineMethod({
    name: 'ledger_prove',
    summary: 'A proof that `starling audit` checks offline: of an entry, a record, an event, a block, or that nothing was taken back.',
    params: z.strictObject({
      id: Hash.optional(),
      kind: z.enum(['entry', 'record', 'event', 'block', 'consistency']).default('entry'),
      epoch: z.int().min(1).optional(),
      since: Note.optional(),
      checkpoint: Note.optional(),
    }),
    result: z.looseObject({ v: z.literal(1), kind: z.string(), swarm: Hash }),
    run: (service, request) => service.ledgerProve(request),
  }),
  defineMethod({
    name: 'ledger_checkpoint',
    summary: 'Size and roots of the newest final block, signed by this node (C2SP signed note).',
    params: NoParams,
    result: z.looseObject({ note: z.string(), signer: Hash, swarm: Hash, epoch: Epoch, treeSize: Count, treeRoot: Hash, modelRoot: Hash }),
    run: (service) => service.ledgerCheckpoint(),
  }),
  defineMethod({
    name: 'ledger_consistency',
    summary: 'Consistency proof from an earlier size to the present one (RFC 9162 section 2.1.4).',
    params: z.strictObject({ fromSize: Count }),
    result: z.looseObject({ fromSize: Count, fromRoot: Hash, treeSize: Count, treeRoot: Hash, path: z.array(Hash) }),
    run: (service, { fromSize }) => service.ledgerConsistency(fromSize),
  }),
  defineMethod({
    name: 'ledger_verify',
    summary: 'Checks every hash, signature and rule of the stored ledger.',
    params: NoParams,
    result: z.looseObject({
      ok: z.boolean(),
      entries: Count,
      authors: Count,
      treeSize: Count,
      treeRoot: Hash,
      problems: z.array(z.looseObject({})),
    }),
    run: (service) => service.ledgerVerify(),
  }),
];
