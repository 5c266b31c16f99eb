// Runs the example for browsers in Chromium: the page opens the replica in each mode, shows rows, and follows by push.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { type Page, chromium } from "playwright";
import { chromiumArguments, findChromium } from "../test/support/chromium.ts";

const timeoutMs = 60_000;

/** Throws what fails. Without Chromium it does nothing, and says so. */
export async function runBrowserExample(server: string): Promise<void> {
  const executablePath = findChromium();
  if (executablePath === undefined) return;
  const child = spawn(process.execPath, [server, "--push"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    const url = await addressOf(child.stdout);
    const browser = await chromium.launch({ executablePath, args: [...chromiumArguments] });
    try {
      await use(await browser.newPage(), url);
    } finally {
      await browser.close();
    }
  } finally {
    child.kill("SIGTERM");
  }
}

async function addressOf(output: NodeJS.ReadableStream): Promise<string> {
  for await (const line of createInterface(output)) {
    const url = /http:\S+/u.exec(line)?.[0];
    if (url !== undefined) return url;
  }
  throw new Error("the server has ended without an address");
}

async function use(page: Page, url: string): Promise<void> {
  page.setDefaultTimeout(timeoutMs);
  await page.goto(url);
  await page.waitForSelector("html[data-ready]");
  await page.getByText("What changed since").click();
  const took = page.locator("#took");
  for (const mode of ["worker", "jspi", "auto"]) {
    await took.evaluate((element) => element.replaceChildren());
    await page.selectOption("#mode", mode);
    await took.getByText("12 rows in").waitFor();
    console.log(`${mode}: ${await took.textContent()}`);
  }
  const status = page.locator("#status");
  await status.getByText("pushed").waitFor();
  const before = Number(/\d+/u.exec((await status.textContent()) ?? "")?.[0]);
  await page.waitForFunction(
    (txid) =>
      Number(/\d+/u.exec(document.querySelector("#status")?.textContent ?? "")?.[0]) >= txid,
    before + 2,
  );
  console.log(`pushed: ${await status.textContent()}`);
  await page.locator("#hydrate").click();
  await page.getByText("A copy is here").waitFor();
}
