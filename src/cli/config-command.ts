import { renderReference } from '../config/docs/reference.ts';
import { renderSchema } from '../config/docs/schema.ts';
import { builtin } from '../module/builtin.ts';
import { print, type Terminal } from './terminal.ts';

/** `parlance config reference`: every option with its default and what it means, as a config that can be used. */
export function printReference(terminal: Terminal): void {
  print(terminal, renderReference(builtin));
}

/** `parlance config schema`: the JSON Schema by which editors check and complete a config. */
export function printSchema(terminal: Terminal): void {
  print(terminal, renderSchema(builtin));
}
