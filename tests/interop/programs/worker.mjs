// A worker on @resonatehq/sdk: node worker.mjs URL GROUP. Prints a line when it is ready; runs until it is killed.
import { Never, Resonate } from "@resonatehq/sdk";

const [url, group] = process.argv.slice(2);
const resonate = new Resonate({ url, group, logLevel: "error" });

resonate.register("shout", (_, value) => ({ shouted: value.text.toUpperCase(), by: "typescript", given: value }));
resonate.register("fails", function* fails(ctx, value) {
  throw new TypeError(`typescript refuses ${value.text}`);
});
resonate.register("ask_ours", function* askOurs(ctx, left, right) {
  const there = ctx.options({ target: "local://default", retryPolicy: new Never() });
  const total = yield* ctx.rpc("add", left, right, there);
  try {
    yield* ctx.rpc("refuse", "because", there);
  } catch (error) {
    return { total, error: error.message };
  }
  return { total, error: null };
});
console.log("ready");
setInterval(() => {}, 60_000);
