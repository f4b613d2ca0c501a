/** What a trainer tells whoever watches: lines for people, messages for the process that forked it. */
export interface EpochReport {
  /** The epoch whose model was measured. */
  readonly epoch: number;
  /** Mean cross-entropy of this trainer's own last pass, nats. */
  readonly loss: number;
  /** Of the swarm's model on the held-out set, 0..1. */
  readonly accuracy: number;
  /** Samples this trainer learned from. */
  readonly samples: number;
}

export interface TrainReport {
  /** Epochs decided while this trainer took part. */
  readonly epochs: number;
  /** Last epoch of all, and its model on the whole held-out set. */
  readonly lastEpoch: number;
  readonly accuracy: number;
  readonly loss: number;
  readonly samples: number;
  readonly modelRoot: string;
  /** Accuracy of the same training without the swarm; only where it was asked for. */
  readonly aloneAccuracy?: number;
  readonly history: readonly EpochReport[];
}

export type TrainEvent =
  | { readonly kind: 'waiting'; readonly trainers: number; readonly wanted: number }
  | ({ readonly kind: 'epoch' } & EpochReport)
  | { readonly kind: 'late'; readonly epoch: number; readonly reason: string }
  | { readonly kind: 'away'; readonly away: boolean }
  | { readonly kind: 'done'; readonly report: TrainReport };

export function describeEvent(event: TrainEvent): string {
  switch (event.kind) {
    case 'waiting':
      return `waiting for trainers: ${event.trainers} of ${event.wanted} attached`;
    case 'epoch':
      return `epoch ${event.epoch}  loss ${event.loss.toFixed(3)}  accuracy ${event.accuracy.toFixed(3)}  samples ${event.samples}`;
    case 'late':
      return `epoch ${event.epoch} went on without this update: ${event.reason}`;
    case 'away':
      return event.away ? 'the daemon is away; waiting for it' : 'the daemon is back';
    case 'done':
      return describeReport(event.report);
  }
}

function describeReport({ epochs, lastEpoch, accuracy, aloneAccuracy }: TrainReport): string {
  const alone = aloneAccuracy === undefined ? '' : `, alone ${aloneAccuracy.toFixed(3)}`;
  return `${epochs} epochs, the last is ${lastEpoch}: held-out accuracy ${accuracy.toFixed(3)}${alone}`;
}
