export { encodeReport, type ReportSignature, signReport, verifyReport } from './report.ts';
export { type RunOutcome, runScenario } from './run.ts';
export { formatScenario } from './scenario.ts';
export { loadScenario, scenarioNames } from './scenarios.ts';
export { type Progress, type Summary, simulate } from './simulate.ts';
export { World, type WorldOptions } from './world.ts';
