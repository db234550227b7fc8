// A chat: what one client sends, all get, and who comes later sees the last messages.
const { WebSocketServer, WebSocket } = require("ws");

const history = [];
const server = new WebSocketServer({ host: "127.0.0.1", port: process.env.PORT, maxPayload: 4096 });

server.on("connection", (socket, request) => {
  const name = new URL(request.url, "http://chat").searchParams.get("name")?.slice(0, 30) || "stranger";
  socket.alive = true;
  socket.on("pong", () => (socket.alive = true));
  socket.on("error", (error) => console.error(`${name}: ${error.message}`)); // as a message that is too long
  socket.on("message", (data) => {
    const message = JSON.stringify({ name, text: data.toString() });
    history.push(message);
    if (history.length > 50) history.shift();
    for (const client of server.clients) send(client, message);
  });
  for (const message of history) send(socket, message);
});

// A client that does not read must not fill our memory.
function send(client, message) {
  if (client.bufferedAmount > 1 << 20) client.terminate();
  else if (client.readyState === WebSocket.OPEN) client.send(message);
}

// A client that has gone without a word does not answer.
setInterval(() => {
  for (const client of server.clients) {
    if (!client.alive) client.terminate();
    client.alive = false;
    client.ping();
  }
}, 30_000);

process.on("SIGTERM", () => process.exit());
