// A worker that makes slugs of titles. It is an ordinary HTTP server of Node whose only connection
// is stdin and stdout.
const http = require("node:http");
const { Duplex } = require("node:stream");

let calls = 0;

const server = http.createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const title = Buffer.concat(chunks).toString();
  const slug = title.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "");
  const body = JSON.stringify({ call: ++calls, slug }) + "\n";
  response.writeHead(200, { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(body) }).end(body);
});

// The connection lasts as long as the worker.
server.keepAliveTimeout = server.headersTimeout = server.requestTimeout = server.timeout = 0;

const connection = Duplex.from({ readable: process.stdin, writable: process.stdout });
console.log = console.error; // into the log, not into a response
connection.on("close", () => process.exit());
server.emit("connection", connection);
