import { z } from 'zod';
import { ConfigError, ConfigErrors, hint, type Path, showValue } from './errors.ts';

/** What kind of thing an option takes. */
export type Kind =
  | 'string'
  | 'integer'
  | 'number'
  | 'boolean'
  | 'duration'
  | 'bytes'
  | 'choice'
  | 'list'
  | 'map'
  | 'object'
  | 'variant'
  | 'union'
  | 'secret'
  | 'path'
  | 'checked'
  | 'anything';

/** What an option says about itself, for the generated documents. */
export interface Description {
  readonly kind: Kind;
  readonly doc: string;
  /** What it takes, in words that fit behind "expected": 'a whole number from 1 to 10'. */
  readonly expected: string;
  /** True when the config has to name it. */
  readonly required: boolean;
  /** As it would be written in the config; absent when there is none. */
  readonly default?: unknown;
  /** As they were declared. */
  readonly min?: number | string;
  readonly max?: number | string;
  readonly choices?: readonly (string | number | boolean)[];
  /** An example for an option without default, as it would be written. */
  readonly example?: unknown;
  /** The options of an object. */
  readonly fields?: ReadonlyMap<string, Description>;
  /** What a list or map is made of. */
  readonly of?: Description;
  /** The forms of a variant by the value of its tag, or those of a union by number. */
  readonly forms?: ReadonlyMap<string, Description>;
  /** The option that tells the forms of a variant apart. */
  readonly tag?: string;
}

/** A JSON Schema (2020-12). */
export type JsonSchema = { [key: string]: unknown };

/** One option or section: checks a value, says what it expects, and knows its docs. */
export interface Schema<T> {
  readonly doc: string;
  /** The zod type behind it, with and without its default. */
  readonly type: z.ZodType;
  readonly base: z.ZodType;
  /**
   * Checks a value read from the config; what it returns is frozen. Throws ConfigError, or ConfigErrors for several problems, each
   * naming the path, the value (unless it may be a secret) and what was expected.
   */
  parse(value: unknown, path: Path): T;
  describe(): Description;
  /** For editors: what may be written. */
  jsonSchema(): JsonSchema;
}

/** The type a schema yields. */
export type Infer<S> = S extends Schema<infer T> ? T : never;

/** Says that an issue's message is the whole problem, not only what was expected. */
export const WHOLE = { whole: true } as const;

/** What the JSON Schema says of a type beyond what zod knows; `instead` replaces what zod says. */
interface Note {
  readonly doc: string;
  readonly instead: (() => JsonSchema) | undefined;
}
const notes = new WeakMap<z.core.$ZodType, Note>();

/** What makes an option. `default` undefined: required. `json`: where zod cannot tell what may be written. */
export interface Parts {
  readonly base: z.ZodType;
  readonly about: Omit<Description, 'required'>;
  readonly isOptional?: boolean;
  readonly json?: () => JsonSchema;
}

/** Makes an option of a zod type. Throws when the declared default is refused by the type: a mistake of the declaration. */
export function makeSchema<T>({ base, about, isOptional = false, json }: Parts): Schema<T> {
  const hasDefault = about.default !== undefined;
  if (hasDefault && about.kind !== 'object' && !base.safeParse(about.default).success) {
    throw new Error(`an option's default is not ${about.expected}: ${JSON.stringify(about.default)}`);
  }
  const type = isOptional ? base.optional() : hasDefault ? base.prefault(() => structuredClone(about.default) as never) : base;
  // A section stands for its options: it is required where one of them is.
  const isMissed = about.kind === 'object' ? [...about.fields!.values()].some(({ required }) => required) : !hasDefault;
  const description: Description = { ...about, required: isMissed && !isOptional };
  const instead = json && (hasDefault ? () => ({ ...json(), default: about.default }) : json);
  notes.set(type, { doc: about.doc, instead });
  return {
    doc: about.doc,
    type,
    base,
    parse: (value, path) => check(type, value, path, description) as T,
    describe: () => description,
    jsonSchema: () => toJsonSchema(type),
  };
}

function check(type: z.ZodType, value: unknown, path: Path, description: Description): unknown {
  const result = type.safeParse(value, { reportInput: true });
  if (result.success) return freeze(result.data);
  const problems = result.error.issues.flatMap((issue) => toProblems(issue, path, description));
  throw problems.length === 1 ? problems[0]! : new ConfigErrors(problems);
}

function toProblems(issue: z.core.$ZodIssue, path: Path, description: Description): readonly ConfigError[] {
  const above = typeof path === 'string' ? (path === '' ? [] : [path]) : path;
  const below = issue.path.map((key) => (typeof key === 'number' ? key : String(key)));
  const keys = [...above, ...below];
  if (issue.code === 'unrecognized_keys') {
    const known = issue.message.split('\n').filter((name) => name !== '');
    return issue.keys.map((key) => new ConfigError([...keys, key], `no such option${hint(key, known)}`));
  }
  if (issue.code === 'custom' && issue.params?.['whole'] === true) return [new ConfigError(keys, issue.message)];
  if (issue.input === undefined) return [new ConfigError(keys, `missing; expected ${issue.message}`)];
  const found = mayHoldSecret(description, below) ? '' : `, found ${showValue(issue.input)}`;
  return [new ConfigError(keys, `expected ${issue.message}${found}`)];
}

/** Whether a secret may stand at this place or below it: someone may have written it there in a wrong form. */
function mayHoldSecret(description: Description, keys: readonly (string | number)[]): boolean {
  if (description.kind === 'secret') return true;
  const [key, ...rest] = keys;
  const inner = [...(description.fields ?? []), ...(description.of ? [['', description.of] as const] : [])];
  const forms = [...(description.forms?.values() ?? [])];
  if (forms.some((form) => mayHoldSecret(form, keys))) return true;
  if (key === undefined) return inner.some(([, each]) => mayHoldSecret(each, []));
  const next = description.of ?? description.fields?.get(String(key));
  return next !== undefined && mayHoldSecret(next, rest);
}

/** A Map that cannot be changed once it is sealed. */
export class ConfigMap<V> extends Map<string, V> {
  #isSealed = false;

  seal(): this {
    this.#isSealed = true;
    return this;
  }

  override set(key: string, value: V): this {
    // The constructor of Map calls this before there are private fields, but nobody gives it entries.
    if (this.#isSealed) throw new TypeError('a config does not change');
    return super.set(key, value);
  }

  override delete(key: string): boolean {
    if (this.#isSealed) throw new TypeError('a config does not change');
    return super.delete(key);
  }

  override clear(): void {
    if (this.#isSealed) throw new TypeError('a config does not change');
    super.clear();
  }
}

/** Freezes what a check has made, all the way down. */
export function freeze<T>(value: T): T {
  if (value instanceof ConfigMap) {
    for (const each of value.values()) freeze(each);
    value.seal();
  } else if (Array.isArray(value) || (typeof value === 'object' && value !== null && isPlain(value))) {
    for (const each of Object.values(value)) freeze(each);
    Object.freeze(value);
  }
  return value;
}

function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function toJsonSchema(type: z.ZodType): JsonSchema {
  const made = z.toJSONSchema(type, {
    io: 'input',
    unrepresentable: 'any',
    override: ({ zodSchema, jsonSchema }) => annotate(zodSchema, jsonSchema),
  });
  const { $schema: _, '~standard': __, ...schema } = made as JsonSchema;
  return schema;
}

function annotate(type: z.core.$ZodType, json: JsonSchema): void {
  if (json['minimum'] === Number.MIN_SAFE_INTEGER) delete json['minimum'];
  if (json['maximum'] === Number.MAX_SAFE_INTEGER) delete json['maximum'];
  const note = notes.get(type);
  if (!note) return;
  if (note.instead) {
    for (const key of Object.keys(json)) delete json[key];
    Object.assign(json, note.instead());
  }
  if (note.doc !== '') json['description'] = note.doc;
}
