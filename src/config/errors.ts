/** One step into a config: the name of an option, or the index of a list's item. */
export type Key = string | number;
/** Where an option stands: ready to be shown ('modules.blocking.maxItems'), or step by step. */
export type Path = string | readonly Key[];

/** Where in which file a problem was found. */
export interface Place {
  readonly file?: string;
  /** Counted from 1. */
  readonly line?: number;
}

/** The option that is wrong, and what is wrong with it; the config is refused. */
export class ConfigError extends Error {
  override readonly name: string = 'ConfigError';
  /** 'modules.blocking.maxItems'; empty for the whole file. */
  readonly path: string;
  /** The path step by step; one single step where it was given as text. */
  readonly keys: readonly Key[];
  /** The message without its path and place. */
  readonly problem: string;
  readonly place: Place;

  constructor(path: Path, problem: string, place: Place = {}) {
    const shown = typeof path === 'string' ? path : showPath(path);
    super([showPlace(place), shown, problem].filter((part) => part !== '').join(': '));
    this.path = shown;
    this.keys = typeof path === 'string' ? (path === '' ? [] : [path]) : path;
    this.problem = problem;
    this.place = place;
  }
}

/** Everything that is wrong, in one error. It passes for its first problem; `list` has them all. */
export class ConfigErrors extends ConfigError {
  override readonly name = 'ConfigErrors';
  readonly list: readonly ConfigError[];

  constructor(list: readonly ConfigError[]) {
    const first = list[0] ?? new ConfigError('', 'refused');
    super(first.keys, first.problem, first.place);
    this.list = list;
    this.message = list.map(({ message }) => message).join('\n');
  }
}

/** The single problems that an error stands for; throws the error on when it is none of ours. */
export function problemsOf(error: unknown): readonly ConfigError[] {
  if (error instanceof ConfigErrors) return error.list;
  if (error instanceof ConfigError) return [error];
  throw error;
}

/** Throws one ConfigError, or ConfigErrors for several. Returns when there are none. */
export function throwAll(problems: readonly ConfigError[]): void {
  if (problems.length === 1) throw problems[0]!;
  if (problems.length > 1) throw new ConfigErrors(problems);
}

/** Runs a check and gathers its problems instead of passing them on; undefined when there were any. */
export function gather<T>(problems: ConfigError[], check: () => T): T | undefined {
  try {
    return check();
  } catch (error) {
    problems.push(...problemsOf(error));
    return undefined;
  }
}

/** A path as people write it: 'listeners[0].port'. */
export function showPath(keys: readonly Key[]): string {
  let shown = '';
  for (const key of keys) {
    if (typeof key === 'number') shown += `[${key}]`;
    else shown += `${shown === '' ? '' : '.'}${/^[\w./:@ -]{1,100}$/.test(key) ? key : clip(JSON.stringify(key))}`;
  }
  return shown;
}

/** A value as it may be shown in an error: scalars only, clipped, without the password of a URL. */
export function showValue(value: unknown): string {
  if (value === null || value === undefined || value === '') return value === '' ? 'an empty text' : 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a mapping';
  if (typeof value !== 'string') return String(value);
  return clip(JSON.stringify(value.replace(/\/\/[^/\s]*@/g, '//[secret]@')));
}

/** ', did you mean x?' for a name close to a known one, and the known names. */
export function hint(name: string, known: readonly string[]): string {
  if (known.length === 0) return '';
  const close = closest(name, known);
  return `${close === undefined ? '' : `; did you mean ${close}?`} (known here: ${[...known].sort().join(', ')})`;
}

function closest(name: string, known: readonly string[]): string | undefined {
  const wanted = name.toLowerCase().slice(0, 64);
  let best: string | undefined;
  let least = Math.max(1, Math.floor(wanted.length / 3)) + 1;
  for (const each of known) {
    const distance = countEdits(wanted, each.toLowerCase());
    if (distance < least) [best, least] = [each, distance];
  }
  return best;
}

/** How many letters have to be put in, taken out or replaced to make one of the other (Levenshtein). */
function countEdits(a: string, b: string): number {
  let above = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      row.push(Math.min(above[j]! + 1, row[j - 1]! + 1, above[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    above = row;
  }
  return above[b.length]!;
}

function showPlace({ file, line }: Place): string {
  if (file === undefined) return line === undefined ? '' : `line ${line}`;
  return line === undefined ? file : `${file}:${line}`;
}

function clip(text: string): string {
  return text.length > 80 ? `${text.slice(0, 79)}…` : text;
}
