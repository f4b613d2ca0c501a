/** Processes of a bench that answer one message with one. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';

/** Its next message, or a failure when it ends first. */
export async function nextReport<Report>(child: ChildProcess): Promise<Report> {
  const done = new AbortController();
  const ended = once(child, 'exit', { signal: done.signal }).then(() => Promise.reject(new Error('a process of the bench ended')));
  ended.catch(() => undefined);
  try {
    const [report] = (await Promise.race([once(child, 'message', { signal: done.signal }), ended])) as [Report];
    return report;
  } finally {
    done.abort();
  }
}

/** What it answers to a command. */
export async function answerOf<Report>(child: ChildProcess, command: object | string): Promise<Report> {
  const answer = nextReport<Report>(child);
  child.send(command);
  return await answer;
}
