// How a log line looks. Whatever a peer wrote may stand in its detail, so nothing there may look like a line of its own.

/** Characters that steer terminals or readers: controls, line and paragraph separators, marks that turn the direction of text. */
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;
/** As above, but for the line feed at the end: JSON has its own escapes for the rest below U+0020. */
const CONTROLS_IN_JSON = /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;
const MAX_TEXT = 2000;
const COLOURS: ReadonlyMap<unknown, string> = new Map([
  ['debug', '\u001b[2m'],
  ['info', '\u001b[32m'],
  ['warn', '\u001b[33m'],
  ['error', '\u001b[31m'],
]);
const PLAIN = '\u001b[0m';

/** A line of JSON in which every control character is an escape. */
export function escapeControls(line: string): string {
  return line.replace(CONTROLS_IN_JSON, toEscape);
}

/** A line of JSON as people like to read it: `12:30:05.123 warn  text  module=mam host=example.org`, stack traces below it. */
export function formatLine(line: string): string {
  const { time, level, text, ...detail } = JSON.parse(line) as Record<string, unknown>;
  const clock = String(time).slice(11, 23);
  const stacks: string[] = [];
  const parts = Object.entries(detail).map(([name, value]) => {
    if (isError(value)) stacks.push(...value.stack.split('\n').slice(1));
    return `${PLAIN}\u001b[2m${clean(name)}=${PLAIN}${clean(isError(value) ? `${value.type}: ${value.message}` : show(value))}`;
  });
  const head = `\u001b[2m${clock}${PLAIN} ${COLOURS.get(level) ?? ''}${clean(String(level)).padEnd(5)}${PLAIN} ${clean(String(text))}`;
  // Indented, so that no line of a stack looks like a line of the log.
  const below = stacks.map((stack) => `\n    ${clean(stack.trim())}`).join('');
  return `${[head, ...parts].join('  ')}${below}\n`;
}

/** Names that every line has already. */
const TAKEN: ReadonlySet<string> = new Set(['level', 'time', 'text']);

/** The detail of a line as it is written: texts clipped, errors spelt out, no name that would replace the line's own. */
export function tame(detail: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(detail).map(([name, value]) => {
      const shown = typeof value === 'string' ? clip(value) : value instanceof Error ? showError(value) : value;
      return [TAKEN.has(name) ? `${name}_` : name, shown];
    }),
  );
}

/** Own properties are left out: they may hold what a peer sent, or a password. */
function showError(error: Error): object {
  const { name, message, stack, cause } = error;
  const code = 'code' in error && (typeof error.code === 'string' || typeof error.code === 'number') ? { code: error.code } : {};
  const below = cause instanceof Error ? { cause: { type: cause.name, message: clip(cause.message) } } : {};
  return { type: name, message: clip(message), stack: (stack ?? '').slice(0, 8000), ...code, ...below };
}

function isError(value: unknown): value is { readonly type: string; readonly message: string; readonly stack: string } {
  return (
    typeof value === 'object' &&
    value !== null &&
    'type' in value &&
    'message' in value &&
    'stack' in value &&
    typeof value.stack === 'string'
  );
}

function show(value: unknown): string {
  return typeof value === 'string' && /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value);
}

function clean(text: string): string {
  return clip(text).replace(CONTROLS, toEscape);
}

function clip(text: string): string {
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text;
}

function toEscape(char: string): string {
  return `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
