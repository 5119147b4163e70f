// Subscribes with AnyCable's own client in its extended protocol and prints, as JSON lines, every event with its place in the log
// and what becomes of histories, until a message has the given content and nothing came after it for a moment.
//
//   node resume.mjs ws://127.0.0.1:3000/cable '{"pubsub_token":"…"}' "the last one"
import { Channel, createCable } from "@anycable/core";
import WebSocket from "ws";

const [url, parameters, lastContent] = process.argv.slice(2);
const deadline = 480000;
const reconnectAfter = 50;
const quiet = 300;

class RoomChannel extends Channel {
  static identifier = "RoomChannel";
}

const print = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const end = (code, line) => {
  print(line);
  process.exit(code);
};

const cable = createCable(url, {
  protocol: "actioncable-v1-ext-json",
  websocketImplementation: WebSocket,
  reconnectStrategy: () => reconnectAfter,
  logLevel: "error",
});
let heardAll = false;
let ending;

// Cut off while it subscribes, the client (1.1.7) closes the channel without a reason; it keeps the place in the log.
const subscribe = () => {
  const channel = new RoomChannel(JSON.parse(parameters));
  channel.on("connect", () => print({ subscribed: true }));
  channel.on("info", ({ type }) => print({ info: type }));
  channel.on("close", (error) => (error ? end(1, { closed: String(error) }) : setImmediate(subscribe)));
  channel.on("message", (message, meta) => {
    const { id, content } = message.data;
    print({ event: message.event, id, content, meta });
    heardAll ||= content === lastContent;
    clearTimeout(ending);
    if (heardAll) ending = setTimeout(() => end(0, { done: true }), quiet);
  });
  cable.subscribe(channel);
};

cable.on("connect", ({ reconnect }) => print({ connect: reconnect }));
subscribe();
setTimeout(() => end(1, { late: true }), deadline);
