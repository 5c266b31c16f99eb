// The first statement of a SQL text as SQLite's tokenizer sees it: where it ends, its parameters, and its words
// (https://www.sqlite.org/lang_expr.html#varparam, tokenize.c). Only as far as is needed to send it to the right SQLite.

export interface ScannedSql {
  /** Where the statement ends, behind its semicolon. */
  readonly end: number;
  /** In lower case and in order. None of what is quoted. Empty: there is only space and comments. */
  readonly words: readonly string[];
  /** Names of the parameters as they stand in the text, by number from 1 less one; `undefined` where one has none. */
  readonly parameters: readonly (string | undefined)[];
}

/**
 * One token. Groups: a word, a parameter. What matches nothing is a token of one character. A string or a comment that does
 * not end goes to the end of the text.
 */
const token =
  /\s+|--[^\n]*|\/\*[^]*?(?:\*\/|$)|'(?:[^']|'')*(?:'|$)|"(?:[^"]|"")*(?:"|$)|`(?:[^`]|``)*(?:`|$)|\[[^\]]*(?:\]|$)|\.?\d[\w.$\u0080-\uffff]*|([A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*)|(\?\d*|[$@#:](?:::|[\w$\u0080-\uffff])+(?:\([^\s)]*\))?)|[^]/gu;

const space = /^(?:\s|--|\/\*)/u;

/** Never throws: what SQLite would refuse is scanned somehow, and then refused. */
export function scanSql(sql: string): ScannedSql {
  const words: string[] = [];
  const parameters: (string | undefined)[] = [];
  let isBlank = true;
  for (const match of sql.matchAll(token)) {
    const [text, word, parameter] = match;
    const end = match.index + text.length;
    if (text === ";") {
      // Those before a statement are no statement.
      if (!isBlank) return { end, words, parameters };
      continue;
    }
    isBlank &&= space.test(text);
    if (word !== undefined) words.push(word.toLowerCase());
    if (parameter !== undefined) addParameter(parameters, parameter);
  }
  return { end: sql.length, words, parameters };
}

function addParameter(parameters: (string | undefined)[], name: string): void {
  if (name === "?") {
    parameters.push(undefined);
  } else if (name.startsWith("?")) {
    const number = Number(name.slice(1));
    // SQLite refuses more.
    if (number < 1 || number > 32_766) return;
    while (parameters.length < number) parameters.push(undefined);
    parameters[number - 1] ??= name;
  } else if (!parameters.includes(name)) {
    parameters.push(name);
  }
}
