import { type Checkpoint, type Fingerprint, StarlingError } from '../spec/index.ts';
import { type OpenedCheckpoint, openCheckpoint, verifyCheckpoint } from '../wire/index.ts';
import { type AuditRules, checkChain, checkConsistency, checkGenesis, KeyRing, mismatch, named, type Pass } from './auditChain.ts';
import { checkFact } from './auditFacts.ts';
import { type Proof, parseProof } from './proofFile.ts';

/** One thing that was compared. `name` is the field of the checkpoint or the proof that it speaks for. */
export interface AuditCheck {
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string;
}

/** Checks in the order in which they were made; the first that fails is the last, since the others stand on it. */
export interface AuditReport {
  readonly ok: boolean;
  readonly checks: readonly AuditCheck[];
}

/**
 * Checks a proof against a signed checkpoint, from these two texts alone. The checkpoint is what the reader trusts: it
 * names the swarm, by its genesis' hash, and vouches for the roots; `signer`, if given, is the only node that may have
 * signed it. The rest follows from hashes, and from the votes of the committees, the first of which the genesis names.
 */
export function audit(note: string, proofText: string, rules: AuditRules, signer?: Fingerprint): AuditReport {
  const checks: AuditCheck[] = [];
  const pass: Pass = (name, detail) => checks.push({ name, ok: true, detail });
  try {
    const opened = open('checkpoint', note, signer);
    const proof = parseProof(proofText);
    requireSwarm('checkpoint', opened, proof);
    pass('proof', `of kind ${proof.kind}, swarm ${proof.swarm}`);
    const keys = new KeyRing(proof);
    if (proof.kind === 'consistency') checkSince(proof, checkSigned('checkpoint', opened, keys, pass), keys, pass);
    else {
      const genesis = checkGenesis(proof, keys, pass); // the founders' keys stand in it
      const checkpoint = checkSigned('checkpoint', opened, keys, pass);
      checkChain(proof, genesis, checkpoint, keys, rules, pass);
      checkFact(proof, keys, pass);
    }
  } catch (error) {
    if (!(error instanceof StarlingError)) throw error;
    checks.push({ name: error.facts.field ?? 'proof', ok: false, detail: error.message });
  }
  return { ok: checks.every(({ ok }) => ok), checks };
}

/** The checkpoint that a note holds, unchecked yet, and who is said to have signed it. */
function open(field: string, text: string, signer?: Fingerprint): OpenedCheckpoint {
  const opened = named(field, () => openCheckpoint(text));
  if (signer !== undefined && opened.signer !== signer)
    throw mismatch(`${field}.signer`, `the checkpoint is signed by ${opened.signer}, it should be by ${signer}`);
  return opened;
}

function requireSwarm(field: string, { checkpoint }: OpenedCheckpoint, { swarm }: Proof): void {
  if (checkpoint.swarm !== swarm) throw mismatch('proof.swarm', `the proof is of swarm ${swarm}, the ${field} of ${checkpoint.swarm}`);
}

function checkSigned(field: string, opened: OpenedCheckpoint, keys: KeyRing, pass: Pass): Checkpoint {
  const { checkpoint, signer } = opened;
  if (!verifyCheckpoint(opened, keys.of(signer, `${field}.signer`)))
    throw mismatch(`${field}.signature`, `${signer} did not sign this checkpoint`);
  pass(`${field}.signature`, `epoch ${checkpoint.epoch}, ${checkpoint.treeSize} entries, signed by ${signer}`);
  return checkpoint;
}

/** Whether everything of the earlier checkpoint is in this one's ledger, where it was. */
function checkSince(proof: Extract<Proof, { kind: 'consistency' }>, checkpoint: Checkpoint, keys: KeyRing, pass: Pass): void {
  const opened = open('proof.since', proof.since);
  requireSwarm('proof.since', opened, proof);
  const since = checkSigned('proof.since', opened, keys, pass);
  if (since.epoch > checkpoint.epoch)
    throw mismatch('proof.since.epoch', `it is of epoch ${since.epoch}, after the checkpoint's ${checkpoint.epoch}`);
  if (since.epoch === checkpoint.epoch && since.modelRoot !== checkpoint.modelRoot)
    throw mismatch('proof.since.modelRoot', `epoch ${since.epoch} has two models`);
  checkConsistency(proof.consistency, since, checkpoint, pass);
}
