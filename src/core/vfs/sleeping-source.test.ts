import { Worker } from "node:worker_threads";
import { expect, it } from "vitest";
import { answers, controlWords, mailboxSizeBytes } from "./protocol.ts";
import { SleepingSource } from "./sleeping-source.ts";

/** Wakes whoever sleeps on the answer without one, and answers some time after that. */
const lateWaker = `
const { control, mailbox, asked } = require("node:worker_threads").workerData;
Atomics.wait(asked, 0, 0);
while (Atomics.notify(control, ${controlWords.answer}) === 0);
Atomics.wait(asked, 1, 0, 200);
new Uint8Array(mailbox).fill(7);
Atomics.store(control, ${controlWords.answer}, ${answers.given});
Atomics.notify(control, ${controlWords.answer});
`;

it("a page is not taken for answered because something woke its reader", async () => {
  const control = new SharedArrayBuffer(4 * Object.keys(controlWords).length);
  const mailbox = new SharedArrayBuffer(mailboxSizeBytes);
  const asked = new Int32Array(new SharedArrayBuffer(8));
  const workerData = { control: new Int32Array(control), mailbox, asked };
  const worker = new Worker(lateWaker, { eval: true, workerData });
  await new Promise((resolve) => worker.once("online", resolve));
  const source = new SleepingSource({ control, mailbox }, () => {
    Atomics.store(asked, 0, 1);
    Atomics.notify(asked, 0);
  });
  const page = new Uint8Array(512);
  source.read(1, 2, page);
  expect(page).toEqual(new Uint8Array(512).fill(7));
  await worker.terminate();
});
