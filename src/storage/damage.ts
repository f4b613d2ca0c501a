/**
 * missing: it should be there. unreadable: not what its name says, as a whole. structure: SQLite's own pages. log: commits
 * lost with the write-ahead log. row: one record is not as it was written. content: a blob is not what its root stands for.
 * rule: signed or chained against the rules. gap: what it stands on is not there. unfinished: left by a crash in the
 * middle of a write. stranger: nothing that belongs here. permissions: others may read a secret. mismatch: two files
 * speak of different swarms.
 */
export type DamageKind =
  | 'missing'
  | 'unreadable'
  | 'structure'
  | 'log'
  | 'row'
  | 'content'
  | 'rule'
  | 'gap'
  | 'unfinished'
  | 'stranger'
  | 'permissions'
  | 'mismatch';

export interface Damage {
  readonly kind: DamageKind;
  /** File, relative to the data folder, with the row where one is meant. */
  readonly where: string;
  readonly message: string;
}
