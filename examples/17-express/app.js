// A list of things to do, as an Express application.
const express = require("express");

const todos = new Map();
let last = 0;

const app = express();
app.disable("x-powered-by");
app.set("trust proxy", "loopback"); // watchdogd is in front: req.ip is the client's
app.use(express.json());

app.get("/todos", (req, res) => res.json([...todos.values()]));

app.post("/todos", (req, res) => {
  const { text } = req.body;
  if (typeof text !== "string" || text === "") return res.status(400).json({ error: "text is missing" });
  if (todos.size >= 1000) return res.status(409).json({ error: "do something first" });
  const todo = { id: ++last, text };
  todos.set(todo.id, todo);
  res.status(201).location(`${req.get("X-Forwarded-Prefix") ?? ""}/todos/${todo.id}`).json(todo);
});

app.delete("/todos/:id", (req, res) => {
  if (!todos.delete(Number(req.params.id))) return res.status(404).json({ error: "there is no such thing to do" });
  res.status(204).end();
});

app.use((error, req, res, next) => {
  if (res.headersSent) return next(error);
  res.status(error.status ?? 500).json({ error: error.message });
});

const server = app.listen(process.env.PORT || 3000, "127.0.0.1");
process.on("SIGTERM", () => server.close(() => process.exit())); // after the requests in flight
