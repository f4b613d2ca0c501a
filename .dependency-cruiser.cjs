/**
 * Who may import whom. Type-only imports count: a type that a room must not know is knowledge all the same.
 */

/** The rooms of src/, upper ones first. Imports go down this list only. */
const ROOMS =
  'cli simulation node dashboard api network storage epoch learning consensus aggregation state ledger compute wire crypto spec'.split(' ');

/** Rooms without world: same input, same output, on every machine. */
const PURE = 'spec crypto wire ledger state consensus aggregation'.split(' ');

/** Packages that compute and do nothing else; the pure rooms may use these alone. */
const PURE_PACKAGES = ['@ipld/dag-cbor', '@noble/[^/]+', 'cborg', 'it-pipe', 'multiformats', 'uint8arrays', 'zod'];

const room = (...names) => `^src/(${names.join('|')})/`;
const packages = (...names) => `node_modules/(${names.join('|')})(/|$)`;
const LIBP2P = packages('libp2p', '@libp2p', '@chainsafe', '@multiformats');
/** `starling doctor` tries whether each library loads on this machine; it uses none. */
const DOCTOR = '^src/cli/doctor/';

const forbid = (name, comment, from, to) => ({ name, severity: 'error', comment, from, to });

module.exports = {
  forbidden: [
    ...ROOMS.slice(1).map((name, index) =>
      forbid(
        `down-from-${name}`,
        `${name} is below what it imports; imports only go down`,
        { path: room(name) },
        { path: room(...ROOMS.slice(0, index + 1)) },
      ),
    ),
    forbid('known-rooms', 'a new room takes its place in ROOMS first', { path: '^src/', pathNot: room(...ROOMS) }, {}),
    forbid('to-known-rooms', 'a new room takes its place in ROOMS first', {}, { path: '^src/', pathNot: room(...ROOMS) }),
    forbid('no-circles', 'two files that need each other are one file, or three', {}, { circular: true }),
    forbid('src-stands-alone', 'what is shipped imports no test and no script', { path: '^src/' }, { path: '^(test|scripts)/' }),

    forbid(
      'pure-packages',
      'a pure room has no network, disk or GPU',
      { path: room(...PURE) },
      { dependencyTypes: ['npm', 'npm-dev', 'npm-optional', 'npm-peer', 'npm-no-pkg'], pathNot: packages(...PURE_PACKAGES) },
    ),
    forbid(
      'pure-hashing',
      'crypto/ and wire/ use node:crypto, node:zlib and (for a lazy fallback) node:module, nothing else of Node',
      { path: room('crypto', 'wire') },
      { dependencyTypes: ['core'], pathNot: '^(node:)?(crypto|zlib|module)$' },
    ),
    forbid(
      'pure-core',
      'a pure room uses nothing of Node; hashes come from crypto/',
      { path: room('spec', 'ledger', 'state', 'consensus', 'aggregation') },
      { dependencyTypes: ['core'] },
    ),
    forbid(
      'pure-compute',
      'a pure room knows the type Compute; the instance is passed in',
      { path: room(...PURE) },
      { path: room('compute'), pathNot: '^src/compute/api\\.ts$' },
    ),

    forbid(
      'epoch-through-ports',
      'epoch/ reaches the world only through ports.ts',
      { path: room('epoch') },
      { dependencyTypes: ['npm', 'npm-dev', 'npm-optional', 'npm-peer', 'npm-no-pkg', 'core'], pathNot: packages(...PURE_PACKAGES) },
    ),
    forbid(
      'adapters-know-no-rules',
      'acceptance rules are handed to network/ and storage/ as functions',
      { path: room('network', 'storage') },
      { path: room('state') },
    ),
    forbid(
      'one-place-constructs',
      'only node/ and simulation/ put the adapters to use',
      { path: '^src/', pathNot: room('node', 'simulation', 'network') },
      { path: room('network') },
    ),
    forbid(
      'one-place-stores',
      'only node/ and simulation/ put the adapters to use',
      { path: '^src/', pathNot: room('node', 'simulation', 'storage') },
      { path: room('storage') },
    ),

    forbid(
      'libp2p-in-network',
      'the transport is an adapter: one room knows it',
      { path: '^src/', pathNot: [room('network'), DOCTOR] },
      { path: LIBP2P },
    ),
    forbid(
      'gpu-in-compute',
      'gpu.js has traps; one room knows them',
      { path: '^src/', pathNot: [room('compute'), DOCTOR] },
      { path: packages('gpu\\.js', 'webgpu') },
    ),
    forbid(
      'sqlite-in-storage',
      'one room knows the database',
      { path: '^src/', pathNot: [room('storage'), DOCTOR] },
      { path: '^(node:)?sqlite$' },
    ),

    forbid('declared', 'a package that is used stands in package.json', {}, { dependencyTypes: ['npm-no-pkg', 'npm-unknown'] }),
    forbid('resolvable', 'an import must lead somewhere', {}, { couldNotResolve: true }),
    forbid(
      'shipped-dependencies',
      'what is shipped needs no development package',
      { path: '^(src|scripts)/' },
      { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['type-only'] },
    ),
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    builtInModules: { add: ['node:sqlite', 'sqlite'] },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default', 'types'] },
  },
};
