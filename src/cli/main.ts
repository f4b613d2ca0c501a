import { Command, CommanderError } from 'commander';
import { version } from '../node/version.ts';
import { asStarlingError, StarlingError } from '../spec/errors.ts';
import { registerAll } from './commands/index.ts';
import { createContext } from './context.ts';
import { createOutput, type Sinks } from './output.ts';

/** Exit codes of DESIGN section 6. */
const DONE = 0;
const FAILED = 1;
const WRONG_USAGE = 2;

/**
 * Runs one command line (without node and script) and resolves with its exit code: 0 done, 1 failed, 2 wrong
 * usage. Never rejects, never exits the process itself.
 */
export async function main(argv: readonly string[], sinks: Sinks = process, environment: NodeJS.ProcessEnv = process.env): Promise<number> {
  const program = new Command('starling');
  // Asked before parsing too: a usage error must know whether stdout belongs to a document.
  const json = () => argv.includes('--json');
  const output = createOutput(json, sinks);
  const interrupted = new AbortController();
  const interrupt = () => interrupted.abort();
  const context = createContext(program, output, interrupted.signal, environment);

  program
    .description("Trains one model from everyone's data, peer to peer, without the data leaving its machine.")
    .option('--data <dir>', 'data folder (STARLING_DATA, default ~/.starling)')
    .option('--api <url>', 'API of the daemon (STARLING_API, default from the data folder)')
    .option('--json', 'print one JSON document on stdout, and text for people on stderr')
    .version(version(), '--version')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => output.text(text.trimEnd()),
      writeErr: (text) => void sinks.stderr.write(text), // the help of a family named without a command
      outputError: () => {}, // printed below, in the form of every other error
    });
  registerAll(program, context);
  for (const command of everyCommand(program)) command.exitOverride().configureOutput(program.configureOutput());

  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return context.failed ? FAILED : DONE;
  } catch (thrown) {
    if (thrown instanceof CommanderError) return usage(thrown, program);
    if (interrupted.signal.aborted && !(thrown instanceof StarlingError)) return FAILED;
    const error = asStarlingError(thrown);
    output.error(error);
    if (error.code === 'INTERNAL' && error.stack !== undefined) sinks.stderr.write(`${error.stack}\n`);
    return error.code === 'BAD_USAGE' ? WRONG_USAGE : FAILED;
  } finally {
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
  }

  function usage(error: CommanderError, from: Command): number {
    if (error.exitCode === 0) return DONE;
    // `commander.help` is a family named without a command: its help has been printed already.
    const message = error.code === 'commander.help' ? 'a command is missing' : error.message.replace(/^error: /, '');
    output.error(new StarlingError('BAD_USAGE', message, { fix: `see ${from.name()} --help` }));
    return WRONG_USAGE;
  }
}

function* everyCommand(command: Command): Generator<Command> {
  yield command;
  for (const child of command.commands) yield* everyCommand(child);
}
