// Says one thing in the chat and prints it as it comes back: node say.js NAME TEXT [URL]
const WebSocket = require("ws");

const [name, text, url = `ws://localhost:${process.env.PORT || 8080}/chat`] = process.argv.slice(2);
const socket = new WebSocket(`${url}?name=${encodeURIComponent(name)}`);
socket.on("open", () => socket.send(text));
socket.on("message", (data) => {
  const message = JSON.parse(data);
  console.log(`${message.name}: ${message.text}`);
  if (message.name === name && message.text === text) socket.close();
});
socket.on("close", (code) => code > 1005 && console.log(`closed with ${code}`));
socket.on("error", (error) => {
  console.error(error.message);
  process.exitCode = 1;
});
