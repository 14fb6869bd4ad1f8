import type { Tokens } from "@workfort/core";
import type { Handlers } from "./handlers.ts";

/** tokens with a scope, for MCP clients */
export function tokenHandlers(tokens: Tokens): Pick<Handlers, Extract<keyof Handlers, `token.${string}`>> {
  return {
    "token.create": ({ body }) => tokens.create(body),
    "token.list": () => ({ tokens: tokens.list() }),
    "token.revoke": ({ params }) => {
      tokens.revoke(params.token);
      return undefined;
    },
  };
}
