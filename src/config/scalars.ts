import { z } from 'zod';
import { makeSchema, type Schema, WHOLE } from './schema.ts';
import { fetchSecret, isSecretInput, Secret, type SecretInput } from './secrets.ts';
import { currentSource, resolveFile } from './source.ts';
import { BYTES_PATTERN, type ByteSize, DURATION_PATTERN, type Duration, parseBytes, parseDuration } from './units.ts';

/** What every option says. Without `default` the config has to name it. */
export interface Common<D> {
  /** One or two sentences for whoever runs the server. */
  readonly doc: string;
  /** As it would be written in the config. */
  readonly default?: D;
  /** For an option without default: what the generated reference shows. */
  readonly example?: D;
}

/** Bounds, inclusive. */
export interface Bounds<D> {
  readonly min?: D;
  readonly max?: D;
}

/** A text; its length is counted in UTF-16 units. `expected` says in words what the pattern means. */
export function string(
  opts: Common<string> & {
    readonly pattern?: RegExp;
    readonly expected?: string;
    readonly minLength?: number;
    readonly maxLength?: number;
  },
): Schema<string> {
  const { pattern, minLength = 0, maxLength = 65_536 } = opts;
  const length =
    opts.maxLength !== undefined
      ? ` of ${minLength} to ${maxLength} characters`
      : minLength > 0
        ? ` of at least ${minLength} characters`
        : '';
  const expected = opts.expected ?? `a text${length}${pattern ? ` that matches ${pattern.source}` : ''}`;
  const error = () => expected;
  let base = z.string({ error }).max(maxLength, { error });
  if (minLength > 0) base = base.min(minLength, { error });
  // A pattern with the flag g or y would remember where it stopped.
  if (pattern) base = base.regex(new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, '')), { error });
  return makeSchema({ base, about: { kind: 'string', ...common(opts), expected } });
}

/** A whole number. */
export function integer(opts: Common<number> & Bounds<number>): Schema<number> {
  const expected = `a whole number${bounds(opts)}`;
  const error = () => expected;
  const base = limit(z.int({ error }), opts, error);
  return makeSchema({ base, about: { kind: 'integer', ...common(opts), ...given(opts), expected } });
}

/** A number, with or without fraction. */
export function number(opts: Common<number> & Bounds<number>): Schema<number> {
  const expected = `a number${bounds(opts)}`;
  const error = () => expected;
  const base = limit(z.number({ error }), opts, error);
  return makeSchema({ base, about: { kind: 'number', ...common(opts), ...given(opts), expected } });
}

/** true or false. */
export function boolean(opts: Common<boolean>): Schema<boolean> {
  const expected = 'true or false';
  return makeSchema({ base: z.boolean({ error: () => expected }), about: { kind: 'boolean', ...common(opts), expected } });
}

/** A span of time such as '30s' or '1h30m', in milliseconds. 0 needs no unit. */
export function duration(opts: Common<Duration> & Bounds<Duration>): Schema<number> {
  const expected = `a span of time such as 30s, 5m, 2h or 7d${bounds(opts)}`;
  return measured(opts, {
    kind: 'duration',
    expected,
    parse: parseDuration,
    json: { anyOf: [{ type: 'string', pattern: DURATION_PATTERN }, { const: 0 }] },
  });
}

/** An amount of data such as '64KiB' or '10MB', in bytes. */
export function bytes(opts: Common<ByteSize> & Bounds<ByteSize>): Schema<number> {
  const expected = `an amount of data such as 64KiB or 10MB${bounds(opts)}`;
  const json = {
    anyOf: [
      { type: 'string', pattern: BYTES_PATTERN },
      { type: 'integer', minimum: 0 },
    ],
  };
  return measured(opts, { kind: 'bytes', expected, parse: parseBytes, json });
}

/** One of these values. */
export function choice<const V extends string | number | boolean>(values: readonly V[], opts: Common<NoInfer<V>>): Schema<V> {
  const expected = values.length === 1 ? String(values[0]) : `one of ${values.join(', ')}`;
  const base = z.literal([...values], { error: () => expected });
  return makeSchema({ base, about: { kind: 'choice', ...common(opts), choices: values, expected } });
}

/** A file or folder, relative to the config file's folder; yields the absolute path. Whether it exists is not looked at. */
export function path(opts: Common<string>): Schema<string> {
  const expected = 'the path of a file or folder';
  const error = () => expected;
  const base = z
    .string({ error })
    .min(1, { error })
    .max(4096, { error })
    .refine((text) => !text.includes('\0'), { error })
    .transform((text) => resolveFile(text));
  return makeSchema({ base, about: { kind: 'path', ...common(opts), expected } });
}

/** A password, key or token: as it is, `{ env: NAME }` for a variable of the environment, or `{ file: path }` for a file's content. */
export function secret(opts: { readonly doc: string }): Schema<Secret> {
  const expected = 'a secret: a text, { env: NAME } or { file: path }';
  const input = z.custom<SecretInput>(isSecretInput, { error: () => expected });
  const base = input.transform((written, context) => {
    const fetched = fetchSecret(written, currentSource());
    if (fetched instanceof Secret) return fetched;
    context.addIssue({ code: 'custom', message: fetched.problem, params: WHOLE });
    return z.NEVER;
  });
  const named = (name: string) => ({
    type: 'object',
    properties: { [name]: { type: 'string' } },
    required: [name],
    additionalProperties: false,
  });
  const json = () => ({ anyOf: [{ type: 'string' }, named('env'), named('file')] });
  return makeSchema({ base, about: { kind: 'secret', doc: opts.doc, expected, example: { env: 'NAME' } }, json });
}

/**
 * A text that a function checks and may change or turn into something else; the function throws for what it refuses.
 * `expected` says in words what it takes.
 */
export function checked<T>(check: (text: string) => T, opts: Common<string> & { readonly expected: string }): Schema<T> {
  const { expected } = opts;
  const base = z
    .string({ error: () => expected })
    .max(65_536, { error: () => expected })
    .transform((text, context) => {
      try {
        return check(text);
      } catch {
        context.addIssue({ code: 'custom', message: expected, input: text });
        return z.NEVER;
      }
    });
  return makeSchema({ base, about: { kind: 'checked', ...common(opts), expected } });
}

/** An XMPP address; give `(text) => Jid.parse(text).bare` or the like. */
export function jid<T>(check: (text: string) => T, opts: Common<string>): Schema<T> {
  return checked(check, { ...opts, expected: 'an XMPP address such as juliet@example.org' });
}

/** A domain; give `Jid.prepareDomain` or the like. */
export function domain<T>(check: (text: string) => T, opts: Common<string>): Schema<T> {
  return checked(check, { ...opts, expected: 'a domain such as example.org' });
}

/** Whatever YAML can say, unchecked. */
export function anything(opts: Common<unknown>): Schema<unknown> {
  return makeSchema({ base: z.unknown(), about: { kind: 'anything', ...common(opts), expected: 'anything' }, json: () => ({}) });
}

interface Measure {
  readonly kind: 'duration' | 'bytes';
  readonly expected: string;
  readonly parse: (value: unknown) => number | undefined;
  readonly json: Record<string, unknown>;
}

function measured(
  opts: Common<string | number> & Bounds<string | number>,
  { kind, expected, parse, json }: Measure,
): Schema<number> {
  const least = opts.min === undefined ? 0 : parse(opts.min);
  const most = opts.max === undefined ? Number.MAX_SAFE_INTEGER : parse(opts.max);
  if (least === undefined || most === undefined) throw new Error(`an option's bounds are not ${expected}`);
  const base = z.union([z.string(), z.number()], { error: () => expected }).transform((written, context) => {
    const value = parse(written);
    if (value !== undefined && value >= least && value <= most) return value;
    context.addIssue({ code: 'custom', message: expected, input: written });
    return z.NEVER;
  });
  return makeSchema({ base, about: { kind, ...common(opts), ...given(opts), expected }, json: () => ({ ...json }) });
}

function limit<Z extends z.ZodNumber>(base: Z, { min, max }: Bounds<number>, error: () => string): z.ZodType {
  let limited: z.ZodNumber = base;
  if (min !== undefined) limited = limited.min(min, { error });
  if (max !== undefined) limited = limited.max(max, { error });
  return limited;
}

function bounds({ min, max }: Bounds<number | string>): string {
  if (min !== undefined && max !== undefined) return ` from ${min} to ${max}`;
  if (min !== undefined) return ` of at least ${min}`;
  return max === undefined ? '' : ` of at most ${max}`;
}

function given<D>({ min, max }: Bounds<D>): Bounds<D> {
  return { ...(min !== undefined && { min }), ...(max !== undefined && { max }) };
}

function common<D>(opts: Common<D>): Common<D> {
  return {
    doc: opts.doc,
    ...(opts.default !== undefined && { default: opts.default }),
    ...(opts.example !== undefined && { example: opts.example }),
  };
}
