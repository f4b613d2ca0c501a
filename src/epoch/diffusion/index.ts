export { Diffusion, type DiffusionView, diffuses, type Learned } from './diffusion.ts';
