/** A process that measures the compute backends and saves what it finds; its argument is the elements of a row. */
import { constants, setPriority } from 'node:os';
import { createCompute } from '../compute/index.ts';
import { calibrationCache } from './calibration.ts';

setPriority(constants.priority.PRIORITY_LOW);
process.once('disconnect', () => process.exit(1));
const compute = await createCompute({ backend: 'auto', cache: calibrationCache(), elements: Number(process.argv[2]) });
await compute.calibrate();
await compute.close();
process.exit(0);
