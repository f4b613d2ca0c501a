/** What a trainer hands to its daemon. */
export interface UpdateSubmission {
  readonly epoch: number;
  /** `delta`: new parameters minus the epoch's model. `parameters`: the new parameters themselves. */
  readonly kind: 'delta' | 'parameters';
  readonly samples: number;
  readonly metrics: Readonly<Record<string, number>>;
  /** P f32, tensors in genesis order. The node works in their place: they are no longer what they were. */
  readonly values: Float32Array;
}
