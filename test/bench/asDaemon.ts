/** Options of Node with which a process collects garbage as a daemon does: bulk streams take twice the time otherwise. */
export const AS_DAEMON: string[] = ['--import', new URL('./nursery.ts', import.meta.url).href];
