/** Loaded before all else, for a bench's process to collect garbage as a daemon does (src/cli/commands/daemon.ts). */
import { setFlagsFromString } from 'node:v8';

setFlagsFromString('--semi-space-growth-factor=1');
