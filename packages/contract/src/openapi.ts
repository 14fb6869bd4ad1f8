import * as z from "zod";
import { errorCatalogue } from "./errors.ts";
import { commonErrors, operationNames, operations } from "./operations.ts";
import type { Operation } from "./operation.ts";
import { Problem } from "./problem.ts";

/** The operations table as an OpenAPI 3.1 document. */
export function toOpenApi(version: string): Record<string, unknown> {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const name of operationNames) {
    const row: Operation = operations[name];
    (paths[row.path] ??= {})[row.method.toLowerCase()] = describeOperation(name, row);
  }
  return {
    openapi: "3.1.0",
    info: { title: "WorkFort", version, license: { name: "Apache-2.0", identifier: "Apache-2.0" } },
    paths,
    components: {
      schemas: { Problem: schema(Problem, "output") },
      securitySchemes: { token: { type: "http", scheme: "bearer" } },
    },
  };
}

function describeOperation(name: string, row: Operation): Record<string, unknown> {
  return {
    operationId: name,
    summary: row.summary,
    tags: [name.split(".")[0]],
    ...(row.public ? {} : { security: [{ token: [] }] }),
    parameters: [...parameters(row.params, "path"), ...parameters(row.query, "query")],
    ...requestBody(row),
    responses: responses(row),
  };
}

function parameters(object: z.ZodObject | undefined, place: "path" | "query"): unknown[] {
  if (object === undefined) return [];
  return Object.entries(object.shape).map(([name, field]) => {
    const described = schema(field as z.ZodType, "input");
    const required = place === "path" || !(field as z.ZodType).safeParse(undefined).success;
    return { name, in: place, required, schema: described };
  });
}

function requestBody(row: Operation): Record<string, unknown> {
  if (row.bytesIn) return { requestBody: { required: true, content: { "application/octet-stream": {} } } };
  if (row.body === undefined) return {};
  const required = !row.body.safeParse({}).success;
  return { requestBody: { required, content: { "application/json": { schema: schema(row.body, "input") } } } };
}

function responses(row: Operation): Record<string, unknown> {
  const content: Record<string, unknown> = {};
  if (row.result !== undefined) content["application/json"] = { schema: schema(row.result, "output") };
  // OpenAPI 3.1 has no word for a stream of items: the schema is that of the data of each
  const streamed = row.event === undefined ? {} : { schema: schema(row.event, "output") };
  if (row.answer === "bytes" && row.mediaType !== undefined) content[row.mediaType] = streamed;
  if (row.answer === "progress") content["application/x-ndjson"] = {};
  const byStatus = new Map<number, string[]>();
  for (const code of [...commonErrors, ...row.errors]) {
    const { status } = errorCatalogue[code];
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  const problems = [...byStatus]
    .toSorted(([a], [b]) => a - b)
    .map(([status, codes]) => [
      String(status),
      {
        description: codes.join(", "),
        content: { "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } } },
      },
    ]);
  const success = { description: "Success", ...(Object.keys(content).length === 0 ? {} : { content }) };
  return { [String(row.status ?? 200)]: success, ...Object.fromEntries(problems) };
}

function schema(type: z.ZodType, io: "input" | "output"): Record<string, unknown> {
  const { $schema: _, ...rest } = z.toJSONSchema(type, { io, unrepresentable: "any" }) as Record<string, unknown>;
  return rest;
}
