import type { Drives, Images, Workspaces } from "@workfort/core";
import type { Handlers } from "./handlers.ts";

type DiskOperation = Extract<keyof Handlers, `image.${string}` | `workspace.${string}` | `drive.${string}`>;

/** master images, workspaces and data drives */
export function diskHandlers({
  images,
  workspaces,
  drives,
}: {
  images: Images;
  workspaces: Workspaces;
  drives: Drives;
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
    "drive.create": ({ body }, { signal, onProgress }) => drives.create(body, { signal, onProgress }),
    "drive.list": () => ({ drives: drives.list() }),
    "drive.get": ({ params }) => drives.get(params.drive),
    "drive.delete": async ({ params }) => {
      await drives.delete(params.drive);
      return undefined;
    },
    "drive.attach": ({ params, body }) => drives.attach(params.drive, body),
    "drive.detach": ({ params }) => drives.detach(params.drive),
    "drive.resize": ({ params, body }, { signal }) => drives.resize(params.drive, body.sizeBytes, signal),
  };
}
