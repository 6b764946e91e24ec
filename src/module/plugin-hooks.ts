// Runs where Node resolves imports: lets plugins reach this very server as `parlance`, wherever they lie, so that there is
// one Hook class and one Stanza class in the process and not a second copy from some other node_modules.

let core = '';

/** Tells where the core is; `data` comes from the one who registers these hooks. */
export function initialize(data: { readonly core: string }): void {
  core = data.core;
}

type Next<R> = (specifier: string, context?: unknown) => R;
type Resolved = { readonly url: string; readonly shortCircuit?: boolean };

/** Node's resolve hook. */
export function resolve<R>(specifier: string, context: unknown, next: Next<R>): R | Resolved {
  return specifier === 'parlance' ? { url: core, shortCircuit: true } : next(specifier, context);
}
