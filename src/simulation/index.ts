export { VirtualClock } from './clock.ts';
export { type LinkModel, SimulatedNetwork } from './network.ts';
export { type SimulatedNode, World, type WorldOptions } from './world.ts';
