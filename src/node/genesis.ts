/** From a founder's configuration to the genesis of a swarm. */
import { bytesOf } from '../aggregation/index.ts';
import { contentOf } from '../crypto/index.ts';
import { type Genesis, MAX_PARAMETERS, type NodeCertificate, StarlingError, type TensorSpec } from '../spec/index.ts';
import { parameterCount } from '../wire/index.ts';
import type { SwarmConfig } from './swarmConfig.ts';

/** What a genesis needs beside a model: everything of SwarmConfig but where the model comes from. */
export type SwarmRules = Omit<SwarmConfig, 'model'>;

/** `initialModel`: P f32, tensors in order. Throws BAD_CONFIG or BAD_SHAPE. */
export function makeGenesis(
  rules: SwarmRules,
  tensors: readonly TensorSpec[],
  initialModel: Float32Array,
  founders: readonly NodeCertificate[],
  createdMs: number,
): Genesis {
  const parameters = parameterCount(tensors);
  if (parameters > MAX_PARAMETERS || parameters !== initialModel.length)
    throw new StarlingError('BAD_SHAPE', `the tensors have ${parameters} elements, the initial model ${initialModel.length}`, {
      field: 'model',
      fix: `make them agree, with at most ${MAX_PARAMETERS} elements`,
    });
  const exponents = typeof rules.scaleExponent === 'number' ? tensors.map(() => rules.scaleExponent as number) : rules.scaleExponent;
  if (exponents.length !== tensors.length)
    throw new StarlingError('BAD_CONFIG', `scale_exponent lists ${exponents.length} numbers for ${tensors.length} tensors`, {
      field: 'scale_exponent',
      fix: 'give one number, or one a tensor',
    });
  return {
    v: 1,
    name: rules.name,
    tensors,
    initialModelRoot: contentOf(bytesOf(initialModel)).root,
    aggregation: rules.aggregation,
    privacy: 'member-readable',
    admission: rules.admission,
    voting: rules.voting,
    updateDtype: rules.dtype,
    encoding: rules.encoding,
    topkShare: rules.topkShare,
    schedule: rules.schedule,
    ...(rules.withoutQuorum === 'diffuse' ? { withoutQuorum: rules.withoutQuorum } : {}),
    scaleExponents: exponents,
    eta: rules.eta,
    lambda: rules.lambda,
    clipNorm: rules.clipNorm,
    maxSamples: rules.maxSamples,
    epochDeadlineMs: rules.epochDeadlineMs,
    minDeadlineMs: rules.minDeadlineMs,
    missEpochs: rules.missEpochs,
    snapshotEpochs: rules.snapshotEpochs,
    retainEpochs: rules.retainEpochs,
    founders,
    createdMs,
  };
}
