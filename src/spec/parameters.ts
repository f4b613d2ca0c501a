/** Every constant that two nodes must share, or that bounds what a stranger can cost. Unit, source, reason. */

export const KIB = 1024;
export const MIB = 1024 * KIB;

/** Bytes. Content is hashed, sealed and pulled in chunks of this size (PROTOCOL section 4). */
export const CHUNK_BYTES = 256 * KIB;
/** Bytes. Gossip carries small signed things only (DESIGN section 2; js gossipsub fails silently near 4 MiB). */
export const GOSSIP_MAX_BYTES = 64 * KIB;
/** Bytes. An update rides inside its gossip message up to this size (PROTOCOL section 4)... */
export const INLINE_MESSAGE_MAX_BYTES = 48 * KIB;
/** ...and only while members x bytes stays below this (PROTOCOL section 4). */
export const INLINE_SWARM_MAX_BYTES = 512 * KIB;
/** Bytes. Largest frame of any request/response stream (a 4 MiB read buffer takes four of them, on TCP and on QUIC). */
export const FRAME_MAX_BYTES = 1024 * KIB;
/** Bytes. Largest canonical CBOR core of an entry: a join carries 2 KiB of keys and a 3.3 KiB signature, a decision 30 KiB of roster and 11 of drops. */
export const ENTRY_MAX_BYTES = 48 * KIB;
/**
 * Entries. A roster, and what a node attests or prefers, names at most this many: a decision entry takes 39 bytes for
 * each, so 768 fit ENTRY_MAX_BYTES with the rest of the entry.
 */
export const MAX_ROSTER = 768;
/** Members. Beside drops, at most this many are named as who saw what, some 34 bytes each: they are for people, evidence is elsewhere. */
export const MAX_DROP_NAMES = 192;
/** Links. Of failed ones an attempt names at most this many: each leaves its two ends with one way less to go. */
export const MAX_BROKEN_LINKS = 256;
/**
 * What a link costs is told as e, for 2^e microseconds that 256 KiB take there and back. Below 16 ms all links are alike: members of one
 * building differ by noise, which must not choose neighbours. Beyond 8 s a link is of no use.
 */
export const LINK_EXPONENT_MIN = 14;
export const LINK_EXPONENT_MAX = 23;
/** Members. A contribution tells of its links to the first so many, in a byte each. */
export const MAX_LINKS = 1_024;
/** Attempts at one sum. Each drops a member or a link; what has not ended by then begins with another roster. */
export const MAX_ATTEMPTS = 1_000;
/** Entries. Joins that one epoch takes in; the others wait for the next. Leaves most of a roster to contributions. */
export const MAX_JOINS = 128;
/** Entries. An entry names at most this many heads of other authors (PROTOCOL section 3). */
export const MAX_DEPS = 8;
/** Sum of the integer weights of a roster (PROTOCOL section 6): 65,536 * 32,767 < 2^31. */
export const WEIGHT_TOTAL = 65_536;
/** The same where sums travel and it serves: those of int16 rows then fit three bytes, those of int8 rows two. */
export const NARROW_WEIGHT_TOTAL = 256;
/** Saturation of quantised values. */
export const QMAX = { int16: 32_767, int8: 127 } as const;
/** Least share of an update that may travel under top-k: with fewer than one in a thousand its residual would take as many epochs to leave. */
export const MIN_TOPK_SHARE = 0.001;
/**
 * Exponents of a tensor's scale: 2^-60 is far below any useful step, 2^20 far above. Within them a scaled int16 is a
 * normal f32, and a scale that adapts cannot run away with an update that is nearly zero.
 */
export const SCALE_EXPONENT_MIN = -60;
export const SCALE_EXPONENT_MAX = 20;
/** Elements. Upper bound of a model a node accepts from a genesis: 2^28 f32 = 1 GiB. */
export const MAX_PARAMETERS = 2 ** 28;
/** Bytes. A genesis larger than this is refused (names and shapes of thousands of tensors fit). */
export const GENESIS_MAX_BYTES = 1024 * KIB;
/** Fixed point of trust shares: 2^30 keeps weight products below 2^53. */
export const TRUST_ONE = 2 ** 30;
/** Fixed point of the moving average of x. */
export const EMA_ONE = 2 ** 32;
/** x above which an epoch counts as far (PROTOCOL section 8). */
export const FAR_X = 4;
/** Epochs in a row at x > FAR_X that lift the trust floor (PROTOCOL section 8). */
export const FAR_EPOCHS = 5;

/** Roster negotiation (PROTOCOL section 5, values settled by simulation). */
export const NEGOTIATION = {
  /** Mixing rate of preferences per tick. */
  a: 0.5,
  /** Share of a voice that does not depend on its certainty. */
  c0: 0.5,
  /** Preferences this close count as equal. */
  tie: 0.05,
  /** Ms after the freeze for which a node waits for attestations of more than 2W/3. */
  readyMs: 500,
  /** Ms after the freeze at which the current preference is handed on. */
  handOverMs: 4_500,
  /** Ms between stances: uniform in this range. */
  tickMinMs: 100,
  tickMaxMs: 200,
  /** Options in a stance. */
  keep: 8,
  /** Probability below which an option is dropped. */
  epsilon: 1e-4,
  /** Stances go to this many neighbours, plus one random peer. */
  neighbours: 8,
  /** Ms. First guess of the p99 dissemination time G. */
  disseminationMs: 400,
} as const;

/** Epoch topics held ahead of and behind the current epoch: n and n+1 held, n-2 left. */
export const EPOCHS_AHEAD = 1;

/** Voting on blocks (arXiv:1807.04938). Ms; each round waits `stepMs` longer than the one before, and a new epoch starts afresh. */
export const VOTING = {
  /** From a round's start until its proposal is given up: a proposal, its data and its check on a loaded machine. */
  proposeMs: 1_500,
  /** From a quorum of any prevotes, or precommits, until the round goes on without agreement: one dissemination. */
  prevoteMs: 500,
  precommitMs: 500,
  /** Longer by this much a round. */
  stepMs: 500,
  /** No timeout grows beyond this. */
  maxMs: 10_000,
  /** First round in which an empty block is acceptable although something is eligible (PROTOCOL section 7). */
  emptyFromRound: 2,
  /** Ms between tellings of what is known of a height to a neighbour: what gossip lost comes back this way. */
  retellMs: 300,
} as const;

/** Voters. A certificate of 300 votes, 100 bytes each, fits a gossip message with room for the proposal around it. */
export const MAX_VOTERS = 300;
/** Rounds. One of an honest swarm ends in a few; this bounds what endless rounds can cost a node's memory and disk. */
export const MAX_ROUNDS = 10_000;
/** Entries. Tips that a block names beside its roster; the others wait for the next. */
export const MAX_TIPS = 384;
/** Items. Evidence in one block, two votes of some 150 bytes each; the rest waits for the next. */
export const MAX_EVIDENCE = 16;

/** Ms between heartbeats. A voter is in reach while one of the last `missed` came. */
export const BEAT = { everyMs: 1_000, missed: 3 } as const;

/**
 * Ms. A block's time is at most this much later than that of the block before: nobody can use the time up by one lie. After a
 * longer rest it lags behind the clocks for some blocks; it is informational.
 */
export const BLOCK_TIME_STEP_MS = 86_400_000;
