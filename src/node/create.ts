/** Founding a swarm: its genesis and initial model in a data folder, before any daemon runs there. */
import { existsSync, readFileSync } from 'node:fs';
import { bytesOf } from '../aggregation/index.ts';
import { initialise, tensorsOf } from '../learning/mlp.ts';
import { type Genesis, MAX_PARAMETERS, MIB, StarlingError, type SwarmId, type TensorSpec } from '../spec/index.ts';
import { lockDataFolder, openBlobStore, prepareDataFolder, writeFileAtomic } from '../storage/index.ts';
import { loadOrCreateIdentity } from '../storage/keystore.ts';
import { decodeGenesis, decodeSafetensors, encodeGenesis, makeCertificate, matchTensors, swarmIdOf } from '../wire/index.ts';
import { makeGenesis } from './genesis.ts';
import { randomBytes } from './random.ts';
import type { SwarmConfig } from './swarmConfig.ts';

/** Makes `data` the folder of a new swarm's founder. Throws DATA_IN_USE, or BAD_USAGE where a swarm is there already. */
export async function createSwarm(data: string, config: SwarmConfig): Promise<{ readonly swarmId: SwarmId }> {
  const folder = prepareDataFolder(data);
  const lock = lockDataFolder(folder.lock);
  try {
    return await found(data, config);
  } finally {
    lock.release();
  }
}

/** The same for a caller that holds the folder's lock. */
export async function found(data: string, config: SwarmConfig): Promise<{ readonly swarmId: SwarmId; readonly genesis: Genesis }> {
  const folder = prepareDataFolder(data);
  if (existsSync(folder.genesis)) {
    const swarm = swarmIdOf(readFileSync(folder.genesis));
    throw new StarlingError('BAD_USAGE', `${data} belongs to swarm ${swarm} already`, {
      field: 'data',
      swarm,
      fix: 'found the new swarm in another --data folder',
    });
  }
  const identity = loadOrCreateIdentity(folder.identity, randomBytes);
  const { tensors, values } = modelOf(config);
  const genesis = makeGenesis(config, tensors, values, [makeCertificate(identity, 'core', [`update/${config.dtype}`])], Date.now());
  const bytes = encodeGenesis(genesis);
  decodeGenesis(bytes); // what a newcomer would refuse is refused here
  await openBlobStore(folder.blobs).put(bytesOf(values));
  writeFileAtomic(folder.founding, '');
  writeFileAtomic(folder.genesis, bytes, 0o644);
  return { swarmId: swarmIdOf(bytes), genesis };
}

function modelOf({ model }: SwarmConfig): { readonly tensors: readonly TensorSpec[]; readonly values: Float32Array } {
  if (model.kind === 'mlp') return { tensors: tensorsOf(model.layers), values: initialise(model.layers, model.seed) };
  let file: Uint8Array;
  try {
    file = new Uint8Array(readFileSync(model.initial));
  } catch (cause) {
    throw new StarlingError(
      'BAD_CONFIG',
      `the initial model cannot be read: ${(cause as Error).message}`,
      { field: 'model.initial', fix: 'check the path' },
      { cause },
    );
  }
  return { tensors: model.tensors, values: matchTensors(model.tensors, decodeSafetensors(file, 4 * MAX_PARAMETERS + MIB)) };
}
