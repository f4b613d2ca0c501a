import { sha256, toHex } from '../crypto/index.ts';
import {
  AGGREGATION_RULES,
  ENCODINGS,
  GENESIS_MAX_BYTES,
  type Genesis,
  MAX_PARAMETERS,
  MIN_TOPK_SHARE,
  SCALE_EXPONENT_MAX,
  SCALE_EXPONENT_MIN,
  SCHEDULES,
  type SwarmId,
  type TensorSpec,
} from '../spec/index.ts';
import { decode, encode } from './cbor.ts';
import { certificateToWire, readCertificate } from './certificate.ts';
import {
  hashBytes,
  malformed,
  readHash,
  readInt,
  readList,
  readMap,
  readNumber,
  readOneOf,
  readRecord,
  readText,
  readTuple,
} from './fields.ts';

/** Tensors of a model: a 1 MiB genesis holds the names and shapes of this many. */
const MAX_TENSORS = 10_000;
const MAX_TENSOR_NAME = 256;
/** Axes of a tensor; PyTorch models stay below. */
const MAX_AXES = 8;
/** Founders hold the first seats; a committee of 64 with 5.4 KiB of certificate each fits the genesis. */
const MAX_FOUNDERS = 64;
/** Ms: a day. */
const MAX_DEADLINE_MS = 86_400_000;
/** Epochs that a rule may count: more than a swarm of one epoch a minute sees in a year. */
const MAX_EPOCHS = 1_000_000;

const KEYS = [
  'v',
  'name',
  'tensors',
  'initialModelRoot',
  'aggregation',
  'privacy',
  'admission',
  'voting',
  'updateDtype',
  'encoding',
  'topkShare',
  'schedule',
  'scaleExponents',
  'eta',
  'lambda',
  'clipNorm',
  'maxSamples',
  'epochDeadlineMs',
  'minDeadlineMs',
  'missEpochs',
  'snapshotEpochs',
  'retainEpochs',
  'founders',
  'createdMs',
] as const satisfies readonly (keyof Genesis)[];

/** Elements of one tensor; 1 for a scalar. */
export const elementsOf = (tensor: TensorSpec): number => tensor.shape.reduce((product, axis) => product * axis, 1);

/** Elements of all tensors together: the length of every update and of the model. */
export const parameterCount = (tensors: readonly TensorSpec[]): number => tensors.reduce((sum, tensor) => sum + elementsOf(tensor), 0);

/** Canonical CBOR map. What it makes of a value within bounds, `decodeGenesis` reads. */
export function encodeGenesis(genesis: Genesis): Uint8Array {
  return encode({
    ...genesis,
    tensors: genesis.tensors.map(({ name, shape }) => [name, shape]),
    initialModelRoot: hashBytes(genesis.initialModelRoot),
    founders: genesis.founders.map(certificateToWire),
  });
}

/** sha256 of the encoded genesis: the swarm's identity (PROTOCOL section 2). */
export const swarmIdOf = (genesisBytes: Uint8Array): SwarmId => toHex(sha256(genesisBytes));

/** Checks every type, range and agreement between fields; not the founders' signatures. Throws TOO_LARGE, MALFORMED, NON_CANONICAL. */
export function decodeGenesis(bytes: Uint8Array): Genesis {
  const { withoutQuorum, ...others } = readMap(decode(bytes, 'genesis', GENESIS_MAX_BYTES), 'genesis');
  const map = readRecord(others, 'genesis', KEYS);
  const tensors = readTensors(map.tensors);
  const epochDeadlineMs = readInt(map.epochDeadlineMs, 'genesis.epochDeadlineMs', 1, MAX_DEADLINE_MS);
  const genesis: Genesis = {
    v: readOneOf(map.v, 'genesis.v', [1]),
    name: readText(map.name, 'genesis.name', 1, 64),
    tensors,
    initialModelRoot: readHash(map.initialModelRoot, 'genesis.initialModelRoot'),
    aggregation: readOneOf(map.aggregation, 'genesis.aggregation', AGGREGATION_RULES),
    privacy: readOneOf(map.privacy, 'genesis.privacy', ['member-readable']),
    admission: readOneOf(map.admission, 'genesis.admission', ['open', 'invite']),
    voting: readOneOf(map.voting, 'genesis.voting', ['invited', 'open']),
    updateDtype: readOneOf(map.updateDtype, 'genesis.updateDtype', ['int16', 'int8']),
    encoding: readOneOf(map.encoding, 'genesis.encoding', ENCODINGS),
    topkShare: readNumber(map.topkShare, 'genesis.topkShare', MIN_TOPK_SHARE, 1),
    schedule: readOneOf(map.schedule, 'genesis.schedule', SCHEDULES),
    ...(withoutQuorum === undefined ? {} : { withoutQuorum: readOneOf(withoutQuorum, 'genesis.withoutQuorum', ['diffuse']) }),
    scaleExponents: readList(map.scaleExponents, 'genesis.scaleExponents', MAX_TENSORS, (item, field) =>
      readInt(item, field, SCALE_EXPONENT_MIN, SCALE_EXPONENT_MAX),
    ),
    eta: readNumber(map.eta, 'genesis.eta', Number.MIN_VALUE, 1000),
    lambda: readNumber(map.lambda, 'genesis.lambda', 0, 1000),
    clipNorm: readNumber(map.clipNorm, 'genesis.clipNorm', Number.MIN_VALUE, 1e12),
    maxSamples: readInt(map.maxSamples, 'genesis.maxSamples', 1, 2 ** 31 - 1),
    epochDeadlineMs,
    minDeadlineMs: readInt(map.minDeadlineMs, 'genesis.minDeadlineMs', 1, epochDeadlineMs),
    missEpochs: readInt(map.missEpochs, 'genesis.missEpochs', 1, MAX_EPOCHS),
    snapshotEpochs: readInt(map.snapshotEpochs, 'genesis.snapshotEpochs', 1, MAX_EPOCHS),
    retainEpochs: readInt(map.retainEpochs, 'genesis.retainEpochs', 1, MAX_EPOCHS),
    founders: readList(map.founders, 'genesis.founders', MAX_FOUNDERS, readCertificate),
    createdMs: readInt(map.createdMs, 'genesis.createdMs'),
  };
  if (genesis.scaleExponents.length !== tensors.length)
    throw malformed('genesis.scaleExponents', `has ${genesis.scaleExponents.length} exponents for ${tensors.length} tensors`);
  if (genesis.founders.length === 0) throw malformed('genesis.founders', 'is empty: nobody could decide');
  requireDistinct(
    genesis.founders.map((founder) => toHex(founder.ed25519PublicKey)),
    'genesis.founders',
  );
  return genesis;
}

function readTensors(value: unknown): TensorSpec[] {
  const tensors = readList(value, 'genesis.tensors', MAX_TENSORS, (item, field) => {
    const [name, shape] = readTuple(item, field, 2);
    return {
      name: readText(name, `${field}.name`, 1, MAX_TENSOR_NAME),
      shape: readList(shape, `${field}.shape`, MAX_AXES, (axis, axisField) => readInt(axis, axisField, 1, MAX_PARAMETERS)),
    };
  });
  if (tensors.length === 0) throw malformed('genesis.tensors', 'is empty');
  requireDistinct(
    tensors.map((tensor) => tensor.name),
    'genesis.tensors',
  );
  if (parameterCount(tensors) > MAX_PARAMETERS) throw malformed('genesis.tensors', `has more than ${MAX_PARAMETERS} elements`);
  return tensors;
}

function requireDistinct(names: readonly string[], field: string): void {
  const seen = new Set<string>();
  names.forEach((name, i) => {
    if (seen.has(name)) throw malformed(`${field}[${i}]`, `is there twice: ${name}`);
    seen.add(name);
  });
}
