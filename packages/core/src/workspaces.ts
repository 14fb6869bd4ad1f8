import { WorkfortError, type CreateWorkspace, type Workspace, type WorkspaceDetail } from "@workfort/contract";
import { nameTaken, notFound } from "./errors.ts";
import type { EventSink } from "./events.ts";
import { newId } from "./ids.ts";
import type { Images } from "./images.ts";
import type { Journal } from "./journal.ts";
import type { StorageDriver, Store } from "./ports.ts";
import type { WorkspaceRecord } from "./records.ts";
import type { Reservations } from "./reservations.ts";

/** Workspaces: writable copy-on-write snapshots of master images, each the root disk of at most one VM. */
export class Workspaces {
  readonly #store: Store;
  readonly #events: EventSink;
  readonly #storage: StorageDriver;
  readonly #images: Images;
  readonly #reservations: Reservations;
  readonly #create: (workspace: WorkspaceRecord) => Promise<void>;
  readonly #remove: (workspace: WorkspaceRecord) => Promise<void>;

  constructor(needs: {
    store: Store;
    events: EventSink;
    storage: StorageDriver;
    images: Images;
    reservations: Reservations;
    journal: Journal;
  }) {
    this.#store = needs.store;
    this.#events = needs.events;
    this.#storage = needs.storage;
    this.#images = needs.images;
    this.#reservations = needs.reservations;
    this.#create = needs.journal.build<WorkspaceRecord>({
      kind: "workspace.create",
      steps: [
        {
          name: "snapshot",
          run: (workspace) => this.#storage.snapshot(imageIdOf(workspace), workspace.id),
          undo: (workspace) => this.#storage.delete("workspaces", workspace.id),
        },
      ],
      commit: (workspace) => this.insert(workspace),
      isBuilt: (workspace) => this.#storage.exists("workspaces", workspace.id),
    });
    this.#remove = needs.journal.removal<WorkspaceRecord>({
      kind: "workspace.delete",
      commit: (workspace) => this.remove(workspace),
      steps: [{ name: "disk", run: (workspace) => this.#storage.delete("workspaces", workspace.id) }],
    });
  }

  async create(request: CreateWorkspace): Promise<Workspace> {
    const image = this.#images.find(request.image);
    const keys = [`workspace-name:${request.name}`, `image:${image.id}`];
    if (this.isNameTaken(request.name)) throw nameTaken("workspace", request.name);
    const workspace: WorkspaceRecord = {
      id: newId("ws"),
      name: request.name,
      imageId: image.id,
      createdAt: Date.now(),
    };
    await this.#reservations.hold(keys, () => this.#create(workspace));
    return this.#present(workspace);
  }

  isNameTaken(name: string): boolean {
    return this.#store.findWorkspace(name) !== null || this.#reservations.has(`workspace-name:${name}`);
  }

  list(): Workspace[] {
    return this.#store.listWorkspaces().map((workspace) => this.#present(workspace));
  }

  async get(reference: string): Promise<WorkspaceDetail> {
    const workspace = this.find(reference);
    return { ...this.#present(workspace), ...(await this.#storage.usage("workspaces", workspace.id)) };
  }

  find(reference: string): WorkspaceRecord {
    const workspace = this.#store.findWorkspace(reference);
    if (workspace === null) throw notFound("workspace", reference);
    return workspace;
  }

  async delete(reference: string): Promise<void> {
    const workspace = this.find(reference);
    const vm = this.#store.vmOfWorkspace(workspace.id);
    if (vm !== null) {
      throw new WorkfortError("in_use", `workspace "${workspace.name}" is the disk of VM "${vm.name}"`, {
        hint: `nexusctl vm delete ${vm.name}`,
      });
    }
    if (this.#reservations.has(`workspace:${workspace.id}`)) {
      throw new WorkfortError("in_use", `workspace "${workspace.name}" is being given to a VM`);
    }
    await this.#remove(workspace);
  }

  /** The record alone; its disk is the caller's. */
  insert(workspace: WorkspaceRecord): void {
    this.#store.insertWorkspace(workspace);
    const { id, name } = workspace;
    this.#events.publish({ type: "workspace.created", workspaceId: id, workspaceName: name });
  }

  /** The record alone; its disk is the caller's. */
  remove({ id, name }: WorkspaceRecord): void {
    this.#store.deleteWorkspace(id);
    this.#events.publish({ type: "workspace.deleted", workspaceId: id, workspaceName: name });
  }

  #present(workspace: WorkspaceRecord): Workspace {
    const image = workspace.imageId === null ? null : this.#store.findImage(workspace.imageId);
    const vm = this.#store.vmOfWorkspace(workspace.id);
    return {
      ...workspace,
      imageName: image?.name ?? null,
      vmId: vm?.id ?? null,
      vmName: vm?.name ?? null,
    };
  }
}

function imageIdOf(workspace: WorkspaceRecord): string {
  if (workspace.imageId === null) throw new Error(`workspace ${workspace.id} has no image`);
  return workspace.imageId;
}
