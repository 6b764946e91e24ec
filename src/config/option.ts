import { list, map, nullable, object, optional, partial, union, variant } from './composites.ts';
import {
  anything,
  boolean,
  bytes,
  checked,
  choice,
  domain,
  duration,
  integer,
  jid,
  number,
  path,
  secret,
  string,
} from './scalars.ts';

export type { Description, Infer, JsonSchema, Schema } from './schema.ts';
export type { Secret } from './secrets.ts';

/**
 * The kinds of option a config may declare:
 * `option.object({ maxItems: option.integer({ default: 1000, min: 1, doc: 'Addresses one user may block.' }) })`.
 */
export const option = {
  string,
  integer,
  number,
  boolean,
  duration,
  bytes,
  choice,
  path,
  secret,
  checked,
  jid,
  domain,
  anything,
  object,
  partial,
  variant,
  list,
  map,
  union,
  optional,
  nullable,
} as const;
