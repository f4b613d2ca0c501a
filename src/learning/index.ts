export * from './datasets/index.ts';
export * from './mlp.ts';
export * from './random.ts';
export * from './sgd.ts';
export * from './shards.ts';
export * from './trainer.ts';
