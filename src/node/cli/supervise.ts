// A command that runs beside the engine (`-exec`): split into words as a shell does, our environment and output, its
// exit code kept.
import { spawn } from "node:child_process";
import { constants } from "node:os";
import { HeadwaterError } from "../../core/base/errors.ts";
import { usage } from "./values.ts";

export interface SupervisedCommand extends AsyncDisposable {
  /** Its exit code; 128 + n if signal n ended it. */
  readonly exited: Promise<number>;
  /** Sends the signal, unless it has ended, and waits for its end. */
  stop(signal: NodeJS.Signals): Promise<number>;
}

/** Starts the command. Throws `usage/invalid` if it cannot be split or found. */
export function startCommand(line: string): SupervisedCommand {
  const [file, ...args] = splitWords(line);
  if (file === undefined)
    throw usage('-exec is empty. Give the command to run, for example -exec "node server.js".');
  const child = spawn(file, args, { stdio: "inherit" });
  let isRunning = true;
  const exited = new Promise<number>((resolve, reject) => {
    child.on("error", (error) => {
      isRunning = false;
      reject(
        new HeadwaterError(
          "usage/invalid",
          `-exec ${file}: ${error.message}. Check the command and its path.`,
          {
            cause: error,
          },
        ),
      );
    });
    child.on("exit", (code, signal) => {
      isRunning = false;
      resolve(code ?? 128 + constants.signals[signal ?? "SIGKILL"]);
    });
  });
  exited.catch(() => undefined);
  const stop = (signal: NodeJS.Signals): Promise<number> => {
    if (isRunning) child.kill(signal);
    return exited;
  };
  return {
    exited,
    stop,
    [Symbol.asyncDispose]: async () => {
      await stop("SIGTERM").catch(() => undefined);
    },
  };
}

/** Splits at blanks; quotes and backslashes work as in a shell. Throws `usage/invalid` for an open quote. */
export function splitWords(line: string): readonly string[] {
  const words: string[] = [];
  let word: string | undefined;
  let quote: string | undefined;
  for (let at = 0; at < line.length; at++) {
    const char = line.charAt(at);
    if (quote === undefined && /\s/u.test(char)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else if (quote === undefined && (char === '"' || char === "'")) {
      quote = char;
      word ??= "";
    } else if (char === quote) {
      quote = undefined;
    } else if (char === "\\" && quote !== "'" && at + 1 < line.length) {
      at++;
      word = (word ?? "") + line.charAt(at);
    } else {
      word = (word ?? "") + char;
    }
  }
  if (quote !== undefined) throw usage(`-exec ${JSON.stringify(line)} has an open ${quote} quote.`);
  return word === undefined ? words : [...words, word];
}
