import type { Command } from 'commander';
import type { CliContext, Register } from '../context.ts';
import { registerAudit } from './audit.ts';
import { registerDaemon } from './daemon.ts';
import { registerDemo } from './demo.ts';
import { registerDoctor } from './doctor.ts';
import { registerEpochs } from './epochs.ts';
import { registerFsck } from './fsck.ts';
import { registerInit } from './init.ts';
import { registerInvite } from './invite.ts';
import { registerLedger } from './ledger.ts';
import { registerModel } from './model.ts';
import { registerPeers } from './peers.ts';
import { registerRollback } from './rollback.ts';
import { registerRpc } from './rpc.ts';
import { registerSimulate } from './simulate.ts';
import { registerStatus } from './status.ts';
import { registerSwarm } from './swarm.ts';
import { registerTrain } from './train.ts';

const REGISTER: readonly Register[] = [
  registerInit,
  registerDaemon,
  registerSwarm,
  registerInvite,
  registerStatus,
  registerPeers,
  registerEpochs,
  registerLedger,
  registerAudit,
  registerModel,
  registerTrain,
  registerDemo,
  registerSimulate,
  registerDoctor,
  registerFsck,
  registerRollback,
  registerRpc,
];

/** Adds every command, in the order of `starling --help`. */
export function registerAll(program: Command, context: CliContext): void {
  for (const register of REGISTER) register(program, context);
}
