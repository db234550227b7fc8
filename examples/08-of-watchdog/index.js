// What the node templates of OpenFaaS put around a handler: an HTTP server on a fixed port.
const http = require("node:http");
const handler = require("./handler");

http.createServer(async (req, res) => {
  const chunks = [];
  for await (const chunk of req) chunks.push(chunk);
  const { status = 200, body } = await handler({ method: req.method, path: req.url, body: Buffer.concat(chunks).toString() });
  const text = JSON.stringify(body) + "\n";
  res.writeHead(status, { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(text) }).end(text);
}).listen(process.env.http_port || 3000, "127.0.0.1");
