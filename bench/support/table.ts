// Prints results as an aligned Markdown table.

/** Writes `rows` (the first one is the heading) to standard output. Numbers belong right, so all but the first column are. */
export function printTable(rows: readonly (readonly string[])[]): void {
  const [heading = []] = rows;
  const widths = heading.map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? "").length)),
  );
  const line = (row: readonly string[]): string =>
    `| ${widths.map((width, i) => (i === 0 ? (row[i] ?? "").padEnd(width) : (row[i] ?? "").padStart(width))).join(" | ")} |`;
  const rule = `| ${widths.map((width, i) => (i === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`)).join(" | ")} |`;
  console.log([line(heading), rule, ...rows.slice(1).map((row) => line(row))].join("\n"));
}
