import fastify from "fastify";

/** The daemon's framework with one route and nothing behind it. */
const app = fastify({ logger: true });
app.get("/v1/health", () => ({ status: "ok" }));
await app.listen({ path: process.argv[2] ?? "" });
