/** A running node's chain as proofs take it. */
import type { Engine } from '../epoch/index.ts';
import { eventOf, recordsOf, votersOf } from '../state/index.ts';
import type { ProofSource } from './proofs.ts';

export function proofSource(ctx: Engine['ctx'], genesisBytes: Uint8Array): ProofSource {
  const { chain, replica } = ctx;
  const stateAfter = (epoch: number) => (epoch <= chain.finalized.state.epoch ? chain.at(epoch)?.state : undefined);
  return {
    self: ctx.self,
    swarm: ctx.swarm,
    genesis: ctx.genesis,
    genesisBytes,
    graph: replica.graph,
    keysOf: (node) => (node === ctx.self ? ctx.identity : replica.graph.certificateOf(node)),
    order: chain.order,
    // A rollback holds the chain below what is on the disk.
    blocks: { head: () => chain.finalized.state.epoch, get: (epoch) => ctx.ports.blocks.get(epoch) },
    stateAfter,
    votersAfter: (epoch) => {
      const state = stateAfter(epoch);
      return state === undefined ? undefined : votersOf(state);
    },
    recordsOf: (epoch) => {
      const done = chain.stepOf(epoch);
      return done === undefined ? undefined : recordsOf(done.before, done.after, done.step);
    },
    eventOf: (epoch) => {
      const done = chain.stepOf(epoch);
      return done === undefined ? undefined : eventOf(done.before, done.after, done.step);
    },
  };
}
