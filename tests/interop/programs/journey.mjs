// A user's programs on @resonatehq/sdk (TypeScript SDK, from JavaScript), run against the server named on the
// command line: node journey.mjs URL GROUP SECONDS [PROGRAM...]. Prints one JSON object: the outcome of every
// program, each given that many seconds.
import { Constant, Never, Resonate } from "@resonatehq/sdk";

const [url, group, seconds, ...chosen] = process.argv.slice(2);
const resonate = new Resonate({ url, group, logLevel: "error" });
const attempts = new Map();
const undone = [];
const never = () => resonate.options({ retryPolicy: new Never() });

resonate.register("hello", (_, name) => `hello ${name}`);
resonate.register("fibRun", function* fibRun(ctx, n) {
  if (n < 2) return n;
  const left = yield* ctx.beginRun("fibRun", n - 1);
  const right = yield* ctx.beginRun("fibRun", n - 2);
  return (yield* left) + (yield* right);
});
resonate.register("fibRpc", function* fibRpc(ctx, n) {
  if (n < 2) return n;
  const left = yield* ctx.beginRpc("fibRpc", n - 1, ctx.options({ target: group }));
  const right = yield* ctx.beginRpc("fibRpc", n - 2, ctx.options({ target: group }));
  return (yield* left) + (yield* right);
});
resonate.register("fibBoth", function* fibBoth(ctx, n) {
  if (n < 2) return n;
  const left = yield* ctx.beginRun("fibBoth", n - 1);
  const right = yield* ctx.beginRpc("fibBoth", n - 2, ctx.options({ target: group }));
  return (yield* left) + (yield* right);
});
resonate.register("square", (_, n) => n * n);
resonate.register("fanOut", function* fanOut(ctx, width) {
  const parts = [];
  for (let n = 0; n < width; n++) parts.push(yield* ctx.beginRpc("square", n, ctx.options({ target: group })));
  let sum = 0;
  for (const part of parts) sum += yield* part;
  return sum;
});
resonate.register("nap", function* nap(ctx) {
  yield* ctx.sleep(300);
  yield* ctx.sleep(300);
  return "rested";
});
resonate.register("approval", function* approval(ctx) {
  return yield* yield* ctx.promise({});
});
resonate.register("flaky", (_, key) => {
  attempts.set(key, (attempts.get(key) ?? 0) + 1);
  if (attempts.get(key) < 3) throw new Error(`not yet: ${attempts.get(key)}`);
  return attempts.get(key);
});
resonate.register("retries", function* retries(ctx, key) {
  return yield* ctx.run("flaky", key, ctx.options({ retryPolicy: new Constant({ delay: 0, maxRetries: 5 }) }));
});
resonate.register("broken", () => {
  throw new RangeError("out of stock");
});
resonate.register("handlesErrors", function* handlesErrors(ctx) {
  const seen = [];
  const options = ctx.options({ retryPolicy: new Never(), target: group });
  for (const call of [ctx.run, ctx.rpc]) {
    try {
      yield* call.call(ctx, "broken", options);
    } catch (error) {
      seen.push(`${error.name}: ${error.message}`);
    }
  }
  return seen;
});
resonate.register("detaches", function* detaches(ctx) {
  return (yield* ctx.detached("hello", "from afar", ctx.options({ target: group }))).id;
});
resonate.register("book", (_, what) => {
  if (what === "car") throw new Error("no cars left");
  return what;
});
resonate.register("cancel", (_, what) => {
  undone.push(what);
});
resonate.register("saga", function* saga(ctx) {
  const done = [];
  try {
    for (const what of ["flight", "hotel", "car"]) {
      done.push(yield* ctx.run("book", what, ctx.options({ retryPolicy: new Never() })));
    }
  } catch (error) {
    for (const what of done.reverse()) yield* ctx.run("cancel", what);
    return `rolled back: ${error.message}`;
  }
  return "booked";
});
resonate.register("greet", () => "one", { version: 1 });
resonate.register("greet", () => "two", { version: 2 });
resonate.register("versions", function* versions(ctx) {
  const one = yield* ctx.rpc("greet", ctx.options({ version: 1, target: group }));
  const two = yield* ctx.rpc("greet", ctx.options({ version: 2, target: group }));
  return [one, two];
});
resonate.register("double", (_, order) => ({ ...order, count: order.count * 2 }));
resonate.register("order", function* order(ctx, given) {
  return yield* ctx.rpc("double", given, ctx.options({ target: group }));
});

const run = `ts-${Date.now()}`;
const outcome = (name, ...args) => resonate.run(`${run}-${name}`, name, ...args);

async function pendingChild(root) {
  for (let tries = 0; tries < 200; tries++) {
    const data = { state: "pending", tags: { "resonate:origin": root } };
    const body = JSON.stringify({ kind: "promise.search", head: { corrId: "search", version: "2026-04-01" }, data });
    const answer = await fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body });
    const found = (await answer.json()).data.promises.find((one) => one.id !== root);
    if (found) return found.id;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error("no promise to resolve");
}

const programs = {
  hello: () => outcome("hello", "world"),
  fibRun: () => outcome("fibRun", 6),
  fibRpc: () => outcome("fibRpc", 5),
  fibBoth: () => outcome("fibBoth", 5),
  fanOut: () => outcome("fanOut", 20),
  nap: () => outcome("nap"),
  approval: async () => {
    const handle = await resonate.beginRun(`${run}-approval`, "approval");
    const child = await pendingChild(`${run}-approval`);
    const data = Buffer.from(JSON.stringify({ approved: true })).toString("base64");
    await resonate.promises.resolve(child, { headers: {}, data });
    return await handle.result();
  },
  retries: () => outcome("retries", run),
  handlesErrors: () => outcome("handlesErrors"),
  detached: async () => {
    const id = await outcome("detaches");
    return await (await resonate.get(id)).result();
  },
  saga: () => outcome("saga"),
  versions: () => outcome("versions"),
  order: () => outcome("order", { item: "tea", count: 2 }),
  rpc: () => resonate.rpc(`${run}-rpc`, "hello", "rpc", resonate.options({ target: group })),
  scheduled: async () => {
    const schedule = await resonate.schedule(`${run}-nightly`, "0 3 * * *", "hello", "night");
    const found = await resonate.schedules.get(`${run}-nightly`);
    await schedule.delete();
    return found.cron;
  },
};

const outcomes = {};
const limit = (name) =>
  new Promise((_, reject) => setTimeout(() => reject(new Error(`${name}: not finished in time`)), seconds * 1000).unref());
await Promise.all(
  (chosen.length ? chosen : Object.keys(programs)).map(async (name) => {
    try {
      outcomes[name] = await Promise.race([programs[name](), limit(name)]);
    } catch (error) {
      outcomes[name] = `${error?.name}: ${error?.message}`;
    }
  }),
);
outcomes.undone = undone;
process.stdout.write(`${JSON.stringify(outcomes)}\n`, () => process.exit(0));
