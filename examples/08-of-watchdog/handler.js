// The function.
module.exports = async ({ method, path, body }) => {
  if (method !== "POST") return { status: 405, body: { error: "POST a text" } };
  return { body: { path, words: body.split(/\s+/).filter(Boolean).length } };
};
