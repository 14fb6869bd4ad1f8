import type { Images, Workspaces } from "@workfort/core";
import type { Handlers } from "./handlers.ts";

type DiskOperation = Extract<keyof Handlers, `image.${string}` | `workspace.${string}`>;

/** master images and workspaces */
export function diskHandlers({
  images,
  workspaces,
}: {
  images: Images;
  workspaces: Workspaces;
}): Pick<Handlers, DiskOperation> {
  return {
    "image.import": ({ body }, { signal, onProgress }) => images.import(body, { signal, onProgress }),
    "image.list": () => ({ images: images.list() }),
    "image.get": ({ params }) => images.get(params.image),
    "image.delete": async ({ params }) => {
      await images.delete(params.image);
      return undefined;
    },
    "workspace.create": ({ body }) => workspaces.create(body),
    "workspace.list": () => ({ workspaces: workspaces.list() }),
    "workspace.get": ({ params }) => workspaces.get(params.workspace),
    "workspace.delete": async ({ params }) => {
      await workspaces.delete(params.workspace);
      return undefined;
    },
  };
}
