/** What a node remembers of one piece of its row, and of the edges over which that piece was exchanged. On disk it is one value. */
import { fromHex } from '../../crypto/index.ts';
import type { Fingerprint } from '../../spec/index.ts';
import { decode, encode, readHash, readInt, readList, readNullable, readTuple } from '../../wire/index.ts';

/**
 * The newest exchange over an edge. Who offered and has no answer yet, and who answered and does not know that it came, keep the row
 * that both compute from: `version`.
 */
export interface Edge {
  readonly seq: number;
  /** The own row before the step; null where nothing is open. */
  readonly version: number | null;
  readonly degree: number;
  readonly round: number;
}

export interface PieceRecord {
  /** The row as it is now; 0 for none, which is zeros. */
  readonly version: number;
  /** No row had this version yet. */
  readonly next: number;
  readonly edges: ReadonlyMap<Fingerprint, Edge>;
}

export const NO_PIECE: PieceRecord = { version: 0, next: 1, edges: new Map() };

/** Bytes: some fifty an edge, and no swarm has ten thousand members that were all neighbours of one. */
const RECORD_MAX_BYTES = 2 ** 19;
const MAX_EDGES = 10_000;

export const encodePiece = ({ version, next, edges }: PieceRecord): Uint8Array =>
  encode([version, next, [...edges].map(([node, edge]) => [fromHex(node), edge.seq, edge.version, edge.degree, edge.round])]);

/** Throws MALFORMED, TOO_LARGE, NON_CANONICAL. */
export function decodePiece(bytes: Uint8Array): PieceRecord {
  const [version, next, edges] = readTuple(decode(bytes, 'piece', RECORD_MAX_BYTES), 'piece', 3);
  return {
    version: readInt(version, 'piece.version'),
    next: readInt(next, 'piece.next', 1),
    edges: new Map(
      readList(edges, 'piece.edges', MAX_EDGES, (item, field) => {
        const [node, seq, at, degree, round] = readTuple(item, field, 5);
        const edge = {
          seq: readInt(seq, `${field}.seq`),
          version: readNullable(at, `${field}.version`, (v, f) => readInt(v, f)),
          degree: readInt(degree, `${field}.degree`),
          round: readInt(round, `${field}.round`),
        };
        return [readHash(node, `${field}.node`), edge] as const;
      }),
    ),
  };
}
