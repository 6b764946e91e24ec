import { z } from 'zod';
import type { Common } from './scalars.ts';
import { ConfigMap, type Description, type Infer, type JsonSchema, makeSchema, type Schema, WHOLE } from './schema.ts';

/** The options of a section by name. */
export type Fields = Readonly<Record<string, Schema<unknown>>>;
/** What a section yields. */
export type ObjectOf<F> = { readonly [K in keyof F]: Infer<F[K]> };
/** What a variant yields: its tag tells the forms apart. */
export type VariantOf<Tag extends string, Forms> = {
  [K in keyof Forms & string]: { readonly [T in Tag]: K } & ObjectOf<Forms[K]>;
}[keyof Forms & string];

/**
 * A section: these options and no others. Left out, it stands for the section in which every option has its default; so it is
 * only required where one of its options is. `name:` with nothing behind it is the same.
 */
export function object<const F extends Fields>(fields: F, opts: { readonly doc?: string } = {}): Schema<ObjectOf<F>> {
  const about = {
    kind: 'object',
    doc: opts.doc ?? '',
    default: {},
    fields: describeAll(fields),
    expected: 'a mapping of options',
  } as const;
  return makeSchema({ base: strict(fields, (field) => field.type), about });
}

/** A section of which every option may be left out, and then is undefined: what overrides another section of these options. */
export function partial<const F extends Fields>(fields: F, opts: { readonly doc?: string } = {}): Schema<Partial<ObjectOf<F>>> {
  const described = [...describeAll(fields)].map(
    ([name, { default: _, ...rest }]) => [name, { ...rest, required: false }] as const,
  );
  const about = {
    kind: 'object',
    doc: opts.doc ?? '',
    default: {},
    fields: new Map(described),
    expected: 'a mapping of options',
  } as const;
  return makeSchema({ base: strict(fields, (field) => field.base.optional()), about });
}

/** Sections of different forms, told apart by one option, whose name is `tag`. `default`: the form where the tag is left out. */
export function variant<const Tag extends string, const Forms extends Readonly<Record<string, Fields>>>(
  tag: Tag,
  forms: Forms,
  opts: { readonly doc: string; readonly tagDoc?: string; readonly default?: keyof Forms & string },
): Schema<VariantOf<Tag, Forms>> {
  const names = Object.keys(forms);
  const expected = `a mapping of options with ${tag} as one of ${names.join(', ')}`;
  const options = names.map((name) => {
    const fields = { [tag]: tagSchema(name, opts.tagDoc ?? ''), ...forms[name]! };
    return { name, described: describeForm(fields, opts.doc), type: strict(fields, (field) => field.type, false) };
  });
  const types = options.map(({ type }) => type) as unknown as [z.core.$ZodTypeDiscriminable, ...z.core.$ZodTypeDiscriminable[]];
  const union = z.discriminatedUnion(tag, types, {
    error: (issue) => (issue.input !== undefined && !isMapping(issue.input) ? expected : names.join(', ')),
  });
  const base = z.preprocess((input, context) => chooseForm(input, { tag, names, chosen: opts.default, context }), union);
  const about = {
    kind: 'variant',
    doc: opts.doc,
    ...(opts.default !== undefined && { default: {} }),
    forms: new Map(options.map(({ name, described }) => [name, described])),
    tag,
    expected,
  } as const;
  return makeSchema({ base, about });
}

/** Several values of one kind. */
export function list<T>(
  of: Schema<T>,
  opts: Common<readonly unknown[]> & { readonly min?: number; readonly max?: number; readonly unique?: boolean },
): Schema<readonly T[]> {
  const { min = 0, max = 10_000 } = opts;
  const expected = `a list${min > 0 || opts.max !== undefined ? ` of ${min} to ${max} items` : ''}`;
  const error = () => expected;
  const array = z.array(of.type, { error }).min(min, { error }).max(max, { error });
  const base = opts.unique ? array.superRefine(refuseTwins) : array;
  const about = { kind: 'list', ...pick(opts), min, max, of: of.describe(), expected } as const;
  return makeSchema({ base, about });
}

/** Values of one kind by names that the config chooses. `key` checks the names, and may change them. */
export function map<T>(
  of: Schema<T>,
  opts: Common<Readonly<Record<string, unknown>>> & { readonly key?: Schema<string> },
): Schema<ReadonlyMap<string, T>> {
  const expected = 'a mapping of names to values';
  const base = z.custom<object>(isMapping, { error: () => expected }).transform((input, context) => {
    const made = new ConfigMap<unknown>();
    for (const [name, value] of Object.entries(input)) {
      const key = opts.key ? checkInto(context, opts.key.type, name, name) : name;
      const result = checkInto(context, of.type, value, name);
      if (typeof key !== 'string') continue;
      if (made.has(key))
        context.addIssue({ code: 'custom', message: `the same as another name here: ${key}`, path: [name], params: WHOLE });
      made.set(key, result);
    }
    return made;
  });
  const json = (): JsonSchema => ({ type: 'object', additionalProperties: of.jsonSchema() });
  return makeSchema({ base, about: { kind: 'map', ...pick(opts), of: of.describe(), expected }, json });
}

/** A value that one of several options takes; the first that does wins. */
export function union<const S extends readonly Schema<unknown>[]>(
  of: S,
  opts: Common<unknown> & { readonly expected?: string },
): Schema<Infer<S[number]>> {
  const expected = opts.expected ?? of.map((each) => each.describe().expected).join(', or ');
  const base = z.union(of.map((each) => each.base) as unknown as [z.ZodType, ...z.ZodType[]], { error: () => expected });
  const forms = new Map(of.map((each, i) => [String(i), each.describe()]));
  return makeSchema({ base, about: { kind: 'union', ...pick(opts), forms, expected } });
}

/** An option that may be left out and then is undefined. */
export function optional<T>(of: Schema<T>): Schema<T | undefined> {
  const { required: _, default: __, ...about } = of.describe();
  return makeSchema({ base: of.base, about, isOptional: true });
}

/** An option that also takes null. What it says otherwise, it says as `of`. */
export function nullable<T>(of: Schema<T>): Schema<T | null> {
  const { required: _, ...about } = of.describe();
  return makeSchema({ base: of.base.nullable(), about: { ...about, expected: `${about.expected}, or null` } });
}

/** Whether this is a mapping as YAML and JSON have them. */
export function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * zod tells of unknown names without saying which are known; they travel in the issue's message, one per line.
 * `isEmptyAllowed`: `name:` with nothing behind it is an empty section.
 */
function strict(fields: Fields, typeOf: (field: Schema<unknown>) => z.ZodType, isEmptyAllowed = true): z.ZodType {
  const names = Object.keys(fields);
  const shape = Object.fromEntries(names.map((name) => [name, typeOf(fields[name]!)]));
  const error = (issue: { readonly code?: string | undefined }) =>
    issue.code === 'unrecognized_keys' ? names.join('\n') : 'a mapping of options';
  const base = z.strictObject(shape, { error });
  return isEmptyAllowed ? z.preprocess((input) => (input === null ? {} : input), base) : base;
}

function tagSchema(name: string, doc: string): Schema<string> {
  return makeSchema({ base: z.literal(name), about: { kind: 'choice', doc, choices: [name], expected: name, example: name } });
}

interface Choosing {
  readonly tag: string;
  readonly names: readonly string[];
  readonly chosen: string | undefined;
  readonly context: z.core.$RefinementCtx;
}

/** Fills in the default tag, and says which tags there are where it is missing or unknown. */
function chooseForm(input: unknown, { tag, names, chosen, context }: Choosing): unknown {
  const written = input === null ? {} : input;
  if (!isMapping(written)) return written;
  const name = Object.hasOwn(written, tag) ? written[tag] : chosen;
  if (typeof name === 'string' && names.includes(name)) return { [tag]: name, ...written };
  const problem = name === undefined ? `missing; expected one of ${names.join(', ')}` : undefined;
  context.addIssue({
    code: 'custom',
    path: [tag],
    input: name,
    message: problem ?? `one of ${names.join(', ')}`,
    ...(problem !== undefined && { params: WHOLE }),
  });
  return z.NEVER;
}

function describeAll(fields: Fields): ReadonlyMap<string, Description> {
  return new Map(Object.entries(fields).map(([name, field]) => [name, field.describe()]));
}

function describeForm(fields: Fields, doc: string): Description {
  return { kind: 'object', doc, fields: describeAll(fields), required: false, expected: 'a mapping of options' };
}

function checkInto(context: z.core.$RefinementCtx, type: z.ZodType, value: unknown, name: string): unknown {
  const result = type.safeParse(value, { reportInput: true });
  if (result.success) return result.data;
  for (const issue of result.error.issues) context.issues.push({ ...issue, path: [name, ...issue.path] } as z.core.$ZodRawIssue);
  return undefined;
}

function refuseTwins(items: readonly unknown[], context: z.core.$RefinementCtx): void {
  const seen = new Set<unknown>();
  for (const [i, item] of items.entries()) {
    if (seen.has(item)) context.addIssue({ code: 'custom', message: 'named twice in this list', path: [i], params: WHOLE });
    seen.add(item);
  }
}

function pick<D>(opts: Common<D>): Common<D> {
  return {
    doc: opts.doc,
    ...(opts.default !== undefined && { default: opts.default }),
    ...(opts.example !== undefined && { example: opts.example }),
  };
}
