export { type ReportSignature, signReport, verifyReport } from './report.ts';
export type { RunOutcome } from './run.ts';
export { formatScenario } from './scenario.ts';
export { loadScenario } from './scenarios.ts';
export { type Summary, simulate } from './simulate.ts';
export { World, type WorldOptions } from './world.ts';
