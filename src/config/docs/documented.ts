import type { Schema } from '../option.ts';

/** What the documents say of a module. */
export interface Documented {
  readonly name: string;
  readonly doc: string;
  readonly xeps?: readonly { readonly xep: number; readonly version: string }[];
  readonly config: Schema<unknown>;
}
