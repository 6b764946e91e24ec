// The table in modules/README.md.

import type { Documented } from '../../src/config/docs/documented.ts';
import type { Description } from '../../src/config/option.ts';

/** Where the table stands. */
export const TABLE = ['<!-- modules: written by npm run docs -->', '<!-- end of modules -->'] as const;

/** A row for each module: what it is for, its XEPs, its options with their defaults. */
export function renderTable(modules: ReadonlyMap<string, Documented>): string {
  const rows = [...modules.values()].sort((a, b) => (a.name < b.name ? -1 : 1)).map(renderRow);
  return ['| module | what it does | XEPs | options (defaults) |', '|---|---|---|---|', ...rows].join('\n');
}

function renderRow({ name, doc, xeps = [], config }: Documented): string {
  const links = xeps.map(({ xep, version }) => {
    const number = String(xep).padStart(4, '0');
    return `[${number}](https://xmpp.org/extensions/xep-${number}.html) ${version}`;
  });
  const options = [...(config.describe().fields ?? [])].map(([option, about]) => renderOption(option, about));
  return `| ${[`\`${name}\``, escapeCell(doc), links.join(', '), options.join(', ')].join(' | ')} |`;
}

function renderOption(name: string, about: Description): string {
  if (about.required) return `\`${name}\` (required)`;
  if (about.default === undefined || about.kind === 'object') return `\`${name}\``;
  const shown = escapeCell(JSON.stringify(about.default).replaceAll('`', "'"));
  return `\`${name}\` (\`${shown.length > 40 ? `${shown.slice(0, 39)}…` : shown}\`)`;
}

function escapeCell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}
