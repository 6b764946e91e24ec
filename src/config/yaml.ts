import { isAlias, isCollection, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';
import { ConfigError, type Key, throwAll } from './errors.ts';

/** A config file is written by people; what is beyond this is a mistake. */
const MAX_CHARACTERS = 4 << 20;
const MAX_DEPTH = 32;
/** Aliases may be used, but not to make a small file grow without bound in memory. */
const MAX_ALIASES = 100;
const MAX_PROBLEMS = 10;

/** What is wrong, by the parser's code: its own messages may quote the file, and a file may hold passwords. */
const PROBLEMS: ReadonlyMap<string, string> = new Map([
  ['BAD_ALIAS', 'an alias for something that is not named before it'],
  ['BAD_DQ_ESCAPE', 'an unknown escape in a text in double quotes'],
  ['BAD_INDENT', 'wrong indentation, or a bracket that is not closed'],
  ['BAD_SCALAR_START', 'a text cannot begin like this without quotes'],
  ['BLOCK_AS_IMPLICIT_KEY', 'two names in one line, or a text with ": " in it that needs quotes'],
  ['BLOCK_IN_FLOW', 'an indented block inside brackets'],
  ['DUPLICATE_KEY', 'the same name twice'],
  ['MISSING_CHAR', 'a quote, comma, colon or bracket is missing'],
  ['MULTILINE_IMPLICIT_KEY', 'a name that goes over several lines, or a missing colon'],
  ['MULTIPLE_DOCS', 'a second document (---); a config is one'],
  ['NON_STRING_KEY', 'a name has to be a plain text'],
  ['RESOURCE_EXHAUSTION', 'nested too deep'],
  ['TAB_AS_INDENT', 'a tab; YAML is indented with spaces'],
  ['TAG_RESOLVE_FAILED', 'an unknown tag (!...)'],
]);

/** A YAML file as plain values, which remembers its lines. */
export interface YamlFile {
  readonly root: unknown;
  /** The line of an option, or of the nearest thing around it that the file names; counted from 1. */
  lineOf(keys: readonly Key[]): number;
}

/** Reads YAML. Throws ConfigErrors with the line of each problem; `file` is only for these messages. */
export function readYaml(text: string, file: string): YamlFile {
  if (text.length > MAX_CHARACTERS) throw new ConfigError('', 'too long for a config', { file });
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, stringKeys: true, logLevel: 'error' });
  const lineAt = (node: Node | null | undefined): number => (node?.range ? lines.linePos(node.range[0]).line : 1);
  const found = new Map<number, ConfigError>();
  for (const { code, pos } of [...document.errors, ...document.warnings]) {
    const { line } = lines.linePos(pos[0]);
    if (!found.has(line)) found.set(line, new ConfigError('', `not YAML: ${PROBLEMS.get(code) ?? code}`, { file, line }));
  }
  throwAll([...found.values()].slice(0, MAX_PROBLEMS));
  refuseLoops(document.contents, file, lineAt);
  return { root: toPlain(document, file), lineOf: (keys) => findLine(document.contents, keys, lineAt) };
}

function toPlain(document: ReturnType<typeof parseDocument>, file: string): unknown {
  try {
    return document.toJS({ maxAliasCount: MAX_ALIASES });
  } catch {
    throw new ConfigError('', 'aliases (*name) that repeat too much', { file });
  }
}

/** Anchors inside of which their own alias stands would make a value that contains itself. */
function refuseLoops(root: Node | null, file: string, lineAt: (node: Node) => number): void {
  const visit = (node: unknown, open: readonly string[]): void => {
    if (open.length > MAX_DEPTH) throw new ConfigError('', 'nested too deep', { file, line: lineAt(node as Node) });
    if (isAlias(node) && open.includes(node.source)) {
      throw new ConfigError('', 'an alias inside of what it stands for', { file, line: lineAt(node) });
    }
    if (!isCollection(node)) return;
    const inside = [...open, node.anchor ?? ''];
    for (const item of node.items) visit(isMap(node) ? (item as { value: unknown }).value : item, inside);
  };
  visit(root, []);
}

function findLine(root: Node | null, keys: readonly Key[], lineAt: (node: Node | null) => number): number {
  let node: unknown = root;
  let line = lineAt(root);
  for (const key of keys) {
    if (isMap(node)) {
      const pair = node.items.find(({ key: name }) => isScalar(name) && String(name.value) === String(key));
      if (!pair) return line;
      line = lineAt(pair.key as Node);
      node = pair.value;
    } else if (isSeq(node) && typeof key === 'number' && node.items[key] !== undefined) {
      node = node.items[key];
      line = lineAt(node as Node);
    } else return line;
  }
  return line;
}

/** Whether the file names this option. */
export function isNamed(root: unknown, keys: readonly Key[]): boolean {
  let value = root;
  for (const key of keys) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return false;
    value = (value as Record<Key, unknown>)[key];
  }
  return true;
}

/** The same problem, with its place in a file. */
export function locate(problem: ConfigError, file: string, yaml: Pick<YamlFile, 'lineOf'>): ConfigError {
  return new ConfigError(problem.keys, problem.problem, { file, line: yaml.lineOf(problem.keys) });
}
