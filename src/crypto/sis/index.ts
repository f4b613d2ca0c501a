export {
  type ClaimedSum,
  Committer,
  commit,
  commitRange,
  isRhoSum,
  rhoRow,
  rowBlocks,
  type SisRow,
  verifySum,
} from './commit.ts';
export * from './element.ts';
export { expand, expandRho } from './expand.ts';
export { COMMITMENT_BYTES, DEGREE, RHO_BLOCKS, RHO_DIGIT_BOUND, RHO_ROW_LENGTH } from './parameters.ts';
