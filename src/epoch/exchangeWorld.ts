/** What the exchange of an epoch's sums sees of a node. */
import { sis } from '../crypto/index.ts';
import { isKind } from '../ledger/index.ts';
import { weightsOf } from './average.ts';
import { commitmentContext, commitmentSeed } from './commitment.ts';
import { type EpochContext, peerOf } from './context.ts';
import type { ExchangeWorld } from './exchange/index.ts';
import { costOf } from './linkClaims.ts';
import type { Residual } from './residual.ts';

export function exchangeWorld(ctx: EpochContext, residual: Residual): ExchangeWorld {
  const { graph } = ctx.replica;
  const { clock, compute, streams, journal, store } = ctx.ports;
  return {
    clock,
    compute,
    streams,
    journal,
    store,
    identity: ctx.identity,
    swarm: ctx.swarm,
    genesis: ctx.genesis,
    elements: ctx.spans.at(-1)?.end ?? 0,
    spans: ctx.spans,
    seed: commitmentSeed(ctx.swarm),
    keyOf: (node) => graph.certificateOf(node)?.ed25519PublicKey,
    nodeOf: (peer) => ctx.directory.nodeOf(peer),
    peerOf: (node) => peerOf(ctx, node),
    contribution(id) {
      const entry = graph.get(id);
      if (entry === undefined) return undefined;
      if (!isKind(entry, 'contribution')) return null;
      const { author, body } = entry.core;
      return { author, updateHash: body.updateHash, commitment: body.commitment };
    },
    weights: (base, roster) => weightsOf(ctx, base, roster),
    cost: (base, roster) => costOf(ctx, base, roster),
    commitmentContext: (epoch, author) => commitmentContext(ctx.swarm, epoch, author),
    async own(id) {
      const entry = graph.get(id);
      const own = entry !== undefined && isKind(entry, 'contribution') ? await residual.get(entry.core.body.updateHash) : undefined;
      if (own === undefined || (own.secret === null && ctx.genesis.aggregation === 'mean')) return undefined;
      const rho = own.secret === null ? new Int32Array() : sis.expandRho(own.secret);
      return { values: own.integers, rho, salt: own.salt };
    },
  };
}
