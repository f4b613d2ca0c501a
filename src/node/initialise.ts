import { randomBytes } from 'node:crypto';
import { closeSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { loadOrCreateToken } from '../api/files.ts';
import type { Fingerprint } from '../spec/index.ts';
import { prepareDataFolder } from '../storage/dataFolder.ts';
import { loadOrCreateIdentity } from '../storage/keystore.ts';

export interface Initialised {
  readonly data: string;
  readonly fingerprint: Fingerprint;
  /** Path of the configuration file. */
  readonly config: string;
}

/** Makes a data folder ready: identity, API token, commented configuration. What is there already stays. */
export function initialise(data: string): Initialised {
  const folder = prepareDataFolder(data);
  const identity = loadOrCreateIdentity(folder.identity, (length) => new Uint8Array(randomBytes(length)));
  loadOrCreateToken(data);
  const config = join(data, 'config.toml');
  writeIfMissing(config, CONFIG_TEMPLATE);
  return { data, fingerprint: identity.fingerprint, config };
}

function writeIfMissing(path: string, text: string): void {
  let file: number;
  try {
    file = openSync(path, 'wx', 0o600);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return;
    throw error;
  }
  writeSync(file, text);
  closeSync(file);
}

const CONFIG_TEMPLATE = `# How this machine's daemon runs. Environment variables (STARLING_API_PORT, STARLING_LOG_LEVEL, ...) come
# before this file, flags of "starling daemon" before both. What stands here as a comment is the default.

# Multiaddrs of nodes to dial first; one that answers is enough.
# bootstrap = []
# Refuse any other swarm than this id (64 hexadecimal digits).
# swarm = ""
# Multiaddrs to listen on.
# listen = ["/ip4/0.0.0.0/tcp/7740", "/ip4/0.0.0.0/udp/7740/quic-v1"]
# 1,000 bits a second that this node sends at most, over all peers; without it there is no bound.
# upload_kbit = 20000
# Port of the API on 127.0.0.1; 0 picks a free one.
# api_port = 7747
# core learns and votes, edge learns, relay aggregates and votes, observer reads and audits.
# class = "core"

[compute]
# auto takes the fastest verified backend of each operation; ts, webasm and webgpu force one.
# backend = "auto"

[log]
# debug, info, warn, error or silent.
# level = "info"
`;
