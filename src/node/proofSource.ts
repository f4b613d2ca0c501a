/** A running node's chain as proofs take it. */
import { archivedHeader } from '../epoch/archive.ts';
import type { Engine } from '../epoch/index.ts';
import { eventOf, recordsOf, votersOf } from '../state/index.ts';
import type { ElectedCommittee, ProofSource } from './proofs.ts';

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
    archivedHeader: (epoch) => archivedHeader(ctx.ports.blocks, epoch),
    handoversBefore: (epoch) => [...handovers(ctx, epoch)],
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

function* handovers({ chain, ports: { blocks } }: Engine['ctx'], before: number): Generator<ElectedCommittee> {
  for (const { headers, handovers: archived } of blocks.segments())
    for (const { certificate, voters } of archived) {
      const header = headers.find(({ epoch }) => epoch === certificate.epoch);
      if (header !== undefined && header.epoch < before) yield { header, certificate, voters };
    }
  for (let epoch = chain.base.state.epoch + 1; epoch < before; epoch++) {
    const [applied, record] = [chain.at(epoch), blocks.get(epoch)];
    if (applied === undefined || record === undefined) return;
    const { header } = record.block;
    if (header.votersHash !== header.nextVotersHash) yield { header, certificate: record.certificate, voters: votersOf(applied.state) };
  }
}
