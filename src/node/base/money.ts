// Prices as people write them.

const monthsOf: Readonly<Record<string, number>> = { month: 1, year: 12 };

/** `$1/month`, `1 USD/month` or `$12/year` as US dollars a month, more than 0; `undefined` for anything else. */
export function parseMonthlyCost(text: string): number | undefined {
  const pattern =
    /^(?:\$ ?(?<a>\d+(?:\.\d+)?)|(?<b>\d+(?:\.\d+)?) ?USD) ?\/ ?(?<period>month|year)$/iu;
  const groups = pattern.exec(text.trim())?.groups;
  const amount = Number(groups?.["a"] ?? groups?.["b"]);
  const months = monthsOf[groups?.["period"]?.toLowerCase() ?? ""];
  return months === undefined || amount === 0 ? undefined : amount / months;
}
