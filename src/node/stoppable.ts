/** What a node may use while it runs, and nothing of it afterwards: work that was under way when it stopped ends there. */
import { StarlingError } from '../spec/index.ts';

export class Stoppable {
  #stopped = false;

  /** From here on every call of what was wrapped throws NOT_READY, and whatever lies behind it can be closed. */
  stop(): void {
    this.#stopped = true;
  }

  get isStopped(): boolean {
    return this.#stopped;
  }

  /** The same port, whose methods throw NOT_READY once this node has stopped. */
  wrap<T extends object>(port: T): T {
    return new Proxy(port, {
      get: (target, name): unknown => {
        const value: unknown = Reflect.get(target, name);
        if (typeof value !== 'function') return value;
        return (...args: unknown[]): unknown => {
          if (this.#stopped) throw new StarlingError('NOT_READY', 'this node has stopped', { phase: 'stop', field: String(name) });
          return Reflect.apply(value, target, args);
        };
      },
    });
  }
}
