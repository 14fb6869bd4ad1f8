/** the command line is wrong; exit code 2 */
export class UsageError extends Error {
  override readonly name = "UsageError";
  /** what to type instead */
  readonly hint: string | undefined;
  /** lines that say more */
  readonly why: readonly string[];

  constructor(message: string, more: { hint?: string; why?: readonly string[] } = {}) {
    super(message);
    this.hint = more.hint;
    this.why = more.why ?? [];
  }
}

/** what a guest gave, or a program of this host says, cannot be gone on with; exit code 1 */
export class Refusal extends Error {
  override readonly name: string = "Refusal";
}

/** what was being done when something failed, in words that follow "cannot" */
export class Failure extends Error {
  override readonly name = "Failure";
  readonly action: string;

  constructor(action: string, cause: unknown) {
    super(`cannot ${action}`, { cause });
    this.action = action;
  }
}

/** Says of any failure of `work` what was being done, for example `start VM "dev"`. */
export async function doing<T>(action: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw error instanceof Failure ? error : new Failure(action, error);
  }
}
