/** Grace for what closes by itself after the last test: sockets in TIME_WAIT are the kernel's, ours go within milliseconds. */
const GRACE_MS = 5_000;

/**
 * A test that leaves a timer, socket or child behind must fail the run, not hang it: when something still holds the event loop
 * after the last test, say what and exit 1. The timer is unreferenced, so a clean run ends at once.
 */
export const mochaHooks = {
  afterAll(): void {
    setTimeout(() => {
      console.error(`a test left something open: ${process.getActiveResourcesInfo().join(', ')}`);
      // mocha sets the exit code in its own exit listener; this later one has the last word.
      process.once('exit', () => {
        process.exitCode = 1;
      });
      process.exit(1);
    }, GRACE_MS).unref();
  },
};
