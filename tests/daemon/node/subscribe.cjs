// Subscribes with Rails' own ActionCable client and prints, as JSON lines, that it is confirmed and every event, until one has
// the given name.
//
//   node subscribe.cjs ws://127.0.0.1:3000/cable '{"channel":"RoomChannel","pubsub_token":"…"}' presence.update
"use strict";

const [url, identifier, lastEvent] = process.argv.slice(2);
const deadline = 15000;

// What the client expects of a browser.
globalThis.self = globalThis;
globalThis.WebSocket = require("ws");
globalThis.addEventListener = () => {};
globalThis.removeEventListener = () => {};
globalThis.document = {
  visibilityState: "visible",
  addEventListener() {},
  removeEventListener() {},
  createElement() {
    // The client makes an absolute URL of its argument with a link; ours is absolute.
    return { href: "", protocol: "" };
  },
};

const { createConsumer } = require("@rails/actioncable");

const print = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const end = (code, line) => {
  print(line);
  consumer.disconnect();
  process.exit(code);
};

const consumer = createConsumer(url);
consumer.subscriptions.create(JSON.parse(identifier), {
  connected: () => print({ connected: true }),
  rejected: () => end(1, { rejected: true }),
  received: (message) => (message.event === lastEvent ? end(0, message) : print(message)),
});
setTimeout(() => end(1, { late: true }), deadline);
