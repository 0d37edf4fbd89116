// A gRPC client that tries a server's transport: see ../README.md.
"use strict";

const fs = require("node:fs");
const grpc = require("@grpc/grpc-js");

const SERVICE = "/perdure.test.Echo/";
const REFUSAL = "no: grüß dich, 100 %";
const PATIENCE_MS = 60_000;
// A message of 4 MiB as Temporal counts, and a few bytes to spare.
const LARGE = (4 << 20) - 100;
const number = (name) => Number(process.env[name]);
const later = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const same = (buffer) => buffer;

function security() {
  if (!process.env.CA) return grpc.credentials.createInsecure();
  const [ca, key, certificate] = ["CA", "KEY", "CERTIFICATE"].map((name) =>
    process.env[name] ? fs.readFileSync(process.env[name]) : null,
  );
  return grpc.credentials.createSsl(ca, key, certificate);
}

const OPTIONS = {
  "grpc.max_receive_message_length": 8 << 20,
  "grpc.keepalive_time_ms": 1000,
  "grpc.keepalive_timeout_ms": 10_000,
};
const client = new grpc.Client(process.env.ADDRESS, security(), OPTIONS);
const zipping = new grpc.Client(process.env.ADDRESS, security(), {
  ...OPTIONS,
  "grpc.default_compression_algorithm": grpc.compressionAlgorithms.gzip,
});

// Returns the call, and the promise of its answer.
function call(method, request, { timeout = PATIENCE_MS, metadata = new grpc.Metadata(), by = client } = {}) {
  let begun;
  const answer = new Promise((resolve, reject) => {
    begun = by.makeUnaryRequest(
      SERVICE + method, same, same, Buffer.from(request), metadata,
      { deadline: Date.now() + timeout },
      (error, message) => (error ? reject(error) : resolve(message)),
    );
  });
  return [begun, answer];
}
const ask = (method, request, options) => call(method, request, options)[1];

async function expect(method, request, wanted, options) {
  const answer = await ask(method, request, options);
  if (!answer.equals(Buffer.from(wanted))) {
    throw new Error(`${method}: ${answer.length} bytes came, not the ${wanted.length} that were wanted`);
  }
}

async function code(promise) {
  try {
    await promise;
    return [0, ""];
  } catch (error) {
    return [error.code, error.details];
  }
}

function check(holds, words) {
  if (!holds) throw new Error(words);
}

async function untilWaiting(count) {
  for (const began = Date.now(); Date.now() - began < PATIENCE_MS; await later(20)) {
    if (String(await ask("Counts", "")).split(" ")[0] === String(count)) return;
  }
  throw new Error(`not ${count} calls wait`);
}

const TRIALS = {
  async basics() {
    for (const size of process.env.SIZES.split(" ").map(Number)) {
      const message = Buffer.alloc(size, "m");
      await expect("Echo", message, message);
    }
    const metadata = new grpc.Metadata();
    metadata.set("some-header", "its value");
    await expect("Header", "some-header", "its value", { metadata });
  },

  async refused() {
    const [status, words] = await code(ask("Refuse", ""));
    check(status === grpc.status.FAILED_PRECONDITION && words === REFUSAL, `refused with ${status} ${words}`);
    const [unknown] = await code(ask("Missing", ""));
    check(unknown === grpc.status.UNIMPLEMENTED, `an unknown method: ${unknown}`);
  },

  async gzipped() {
    const message = Buffer.from("compress me ".repeat(50_000));
    await expect("Echo", message, message, { by: zipping });
  },

  async largest() {
    const message = Buffer.alloc(LARGE, "l");
    await expect("Echo", message, message);
  },

  async burst() {
    const calls = Array.from({ length: number("BURST") }, (_, i) => expect("Later", String(i), String(i)));
    await Promise.all(calls);
  },

  async polls() {
    const count = number("POLLS");
    const polls = Array.from({ length: count }, (_, i) => expect("Wait", String(i), String(i)));
    const answered = Promise.all(polls);
    answered.catch(() => {});
    await untilWaiting(count);
    await ask("Release", "");
    await answered;
  },

  async cancelled() {
    const calls = Array.from({ length: 100 }, () => call("Wait", ""));
    const codes = calls.map(([, answer]) => code(answer));
    await untilWaiting(100);
    for (const [begun] of calls) begun.cancel();
    for (const each of codes) {
      const [status] = await each;
      check(status === grpc.status.CANCELLED, `a cancelled call: ${status}`);
    }
    await untilWaiting(0);
  },

  async late() {
    const [status] = await code(ask("Wait", "", { timeout: 200 }));
    check(status === grpc.status.DEADLINE_EXCEEDED, `a call that is late: ${status}`);
    await untilWaiting(0);
  },

  // A call stays open while nothing but keepalive pings comes: the client gives a connection up that does not answer them.
  async idle() {
    const answered = expect("Wait", "idle", "idle");
    const early = answered.then(() => "answered", (error) => String(error));
    const first = await Promise.race([early, later(1000 * number("IDLE_S"))]);
    check(first === undefined, `it ended early: ${first}`);
    await ask("Release", "");
    await answered;
  },
};

async function main() {
  for (const name of process.env.TRIALS.split(" ")) {
    try {
      await TRIALS[name]();
    } catch (error) {
      console.log(name, String(error));
      process.exit(1);
    }
    console.log(name, "ok");
  }
  process.exit(0);
}

main();
