import { describe, expect, test } from "vitest";
import { expandVariables } from "./expand.ts";

describe("variables of the environment", () => {
  test.for([
    ["a: $NAME", "a: value"],
    ["a: ${NAME}", "a: value"],
    ["a: $NAME_2/$NAME.db", "a: second/value.db"],
    ["# comment $NAME, '${NAME}'", "# comment value, 'value'"],
    ["pid-$PID", "pid-42"],
    ["pid-${PID}", "pid-42"],
    ["a: $UNSET|${UNSET}|", "a: ||"],
    ["a$$b", "ab"],
    ["$@ $-", " "],
    ["$1x", "$1x"],
    ["max-cost: $1/month", "max-cost: $1/month"],
    ["5 $ and $. stay", "5 $ and $. stay"],
    ["end $", "end $"],
    ["open ${NAME", "open NAME"],
    ["${}", ""],
    ["no braces {NAME}", "no braces {NAME}"],
    ["$INJECTED", "$NAME"],
  ] as const)("%j becomes %j", ([text, expanded]) => {
    const environment = { NAME: "value", NAME_2: "second", INJECTED: "$NAME" };
    expect(expandVariables(text, environment, 42)).toBe(expanded);
  });
});
