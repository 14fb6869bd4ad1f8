import { WorkfortError, type Image, type ImportImage, type Progress } from "@workfort/contract";
import { nameTaken, notFound } from "./errors.ts";
import type { EventSink } from "./events.ts";
import { newId } from "./ids.ts";
import type { Journal } from "./journal.ts";
import type { DiskBuilder, StorageDriver, Store } from "./ports.ts";
import type { ImageRecord } from "./records.ts";
import type { Reservations } from "./reservations.ts";

/** Master images: read-only root disks that workspaces are made from. */
export class Images {
  readonly #store: Store;
  readonly #events: EventSink;
  readonly #storage: StorageDriver;
  readonly #builder: DiskBuilder;
  readonly #reservations: Reservations;
  readonly #import: (data: ImportData) => Promise<void>;
  readonly #remove: (image: ImageRecord) => Promise<void>;
  /** what the running imports were given; not journalled, since an import that died is undone */
  readonly #running = new Map<string, { signal: AbortSignal | undefined; onProgress: (progress: Progress) => void }>();

  constructor(needs: {
    store: Store;
    events: EventSink;
    storage: StorageDriver;
    builder: DiskBuilder;
    reservations: Reservations;
    journal: Journal;
  }) {
    this.#store = needs.store;
    this.#events = needs.events;
    this.#storage = needs.storage;
    this.#builder = needs.builder;
    this.#reservations = needs.reservations;
    this.#import = needs.journal.build<ImportData>({
      kind: "image.import",
      steps: [
        {
          name: "disk",
          run: (data) => this.#buildDisk(data),
          undo: (data) => this.#storage.delete("images", data.image.id),
        },
      ],
      commit: ({ image }) => {
        this.#store.insertImage(image);
        this.#events.publish({ type: "image.created", imageId: image.id, imageName: image.name });
      },
      // the sizes are known only to the run that built the disk
      isBuilt: () => Promise.resolve(false),
    });
    this.#remove = needs.journal.removal<ImageRecord>({
      kind: "image.delete",
      commit: (image) => {
        this.#store.deleteImage(image.id);
        this.#events.publish({ type: "image.deleted", imageId: image.id, imageName: image.name });
      },
      steps: [{ name: "disk", run: (image) => this.#storage.delete("images", image.id) }],
    });
  }

  async import(
    request: ImportImage,
    options: { signal?: AbortSignal | undefined; onProgress: (progress: Progress) => void },
  ): Promise<Image> {
    const key = `image-name:${request.name}`;
    if (this.#store.findImage(request.name) !== null || this.#reservations.has(key))
      throw nameTaken("image", request.name);
    const image: ImageRecord = {
      id: newId("img"),
      name: request.name,
      sizeBytes: 0,
      usedBytes: 0,
      source: request.source,
      createdAt: Date.now(),
    };
    return await this.#reservations.hold([key], async () => {
      this.#running.set(image.id, { signal: options.signal, onProgress: options.onProgress });
      try {
        const data: ImportData = { image, sizeBytes: request.sizeBytes };
        await this.#import(data);
        return this.#present(data.image);
      } finally {
        this.#running.delete(image.id);
      }
    });
  }

  list(): Image[] {
    return this.#store.listImages().map((image) => this.#present(image));
  }

  get(reference: string): Image {
    return this.#present(this.find(reference));
  }

  find(reference: string): ImageRecord {
    const image = this.#store.findImage(reference);
    if (image === null) throw notFound("image", reference);
    return image;
  }

  async delete(reference: string): Promise<void> {
    const image = this.find(reference);
    const users = this.#store.countWorkspacesOf(image.id);
    if (users > 0 || this.#reservations.has(`image:${image.id}`)) {
      throw new WorkfortError("in_use", `image "${image.name}" has ${Math.max(users, 1)} workspace(s)`, {
        hint: "nexusctl workspace list",
      });
    }
    await this.#remove(image);
  }

  async #buildDisk(data: ImportData): Promise<void> {
    const running = this.#running.get(data.image.id);
    await this.#storage.createImage(data.image.id, async (directory) => {
      const built = await this.#builder.build(data.image.source, `${directory}/rootfs.ext4`, {
        sizeBytes: data.sizeBytes,
        signal: running?.signal,
        onProgress: running?.onProgress,
      });
      data.image.sizeBytes = built.sizeBytes;
      data.image.usedBytes = built.usedBytes;
    });
  }

  #present(image: ImageRecord): Image {
    return { ...image, workspaceCount: this.#store.countWorkspacesOf(image.id) };
  }
}

interface ImportData {
  image: ImageRecord;
  sizeBytes: number | undefined;
}
