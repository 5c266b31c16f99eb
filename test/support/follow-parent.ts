// A program that follows through the library, for tests that kill it.
import { follow } from "../../src/node/follow/follow.ts";

const { url, output } = JSON.parse(process.argv[2] ?? "{}") as { url: string; output: string };
const following = await follow(url, { output });
console.log("following");
await following.ended();
