// What a command of the command line is: a module that is loaded only when its command is called, and the world it
// is given to print to.
import type { Command } from "commander";

/** Where a command prints and what it may look at. */
export interface CliContext {
  /** Results. Nothing else goes here, so that JSON stays JSON. */
  readonly print: (text: string) => void;
  /** Resolves when results that were printed have gone far enough to print more; `false`: nobody reads them any more. */
  readonly printed: () => Promise<boolean>;
  /** Messages for a person: progress, warnings, errors. */
  readonly inform: (text: string) => void;
  /** Whether messages go to a terminal, which can redraw a line. */
  readonly isTerminal: boolean;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Sets the exit code of a command that ends without an error. */
  readonly exitWith: (code: number) => void;
}

/** One entry of the list in `main.ts`. */
export interface CliCommand {
  readonly name: string;
  readonly aliases?: readonly string[];
  /** For the list of commands. */
  readonly summary: string;
  /** Loads the module and gives the function that makes the command. */
  readonly load: () => Promise<(context: CliContext) => Command>;
}
