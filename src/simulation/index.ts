export { World, type WorldOptions } from './world.ts';
