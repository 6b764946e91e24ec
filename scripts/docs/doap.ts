// The list of XEPs in parlance.doap (XEP-0453).
import type { Documented } from '../../src/config/docs/documented.ts';

/** Where the list stands. */
export const LIST = ['<!-- XEPs: written by npm run docs -->', '<!-- end of XEPs -->'] as const;

/** What the core itself implements; modules name their own. */
const CORE: readonly { readonly xep: number; readonly version: string; readonly note?: string }[] = [
  { xep: 124, version: '1.11.2' },
  { xep: 175, version: '1.2' },
  { xep: 178, version: '1.2', note: 'Clients only.' },
  { xep: 206, version: '1.4' },
  { xep: 368, version: '1.1.0', note: 'Clients only.' },
  { xep: 440, version: '1.0.0' },
  { xep: 474, version: '0.5.0' },
  { xep: 478, version: '0.2.0' },
];

/** One entry for each XEP, in order; the newest version where several modules name it. */
export function renderXeps(modules: ReadonlyMap<string, Documented>, since: string): string {
  const found = new Map<number, { readonly version: string; readonly note?: string }>(
    CORE.map(({ xep, ...rest }) => [xep, rest]),
  );
  for (const { xeps = [] } of modules.values()) {
    for (const { xep, version } of xeps) {
      const other = found.get(xep);
      if (!other || isNewer(version, other.version)) found.set(xep, { ...other, version });
    }
  }
  return [...found]
    .sort(([a], [b]) => a - b)
    .map(([xep, about]) => renderXep(xep, { ...about, since }))
    .join('\n');
}

function renderXep(
  xep: number,
  { version, note, since }: { readonly version: string; readonly note?: string; readonly since: string },
): string {
  const number = String(xep).padStart(4, '0');
  const lines = [
    '<implements>',
    '  <xmpp:SupportedXep>',
    `    <xmpp:xep rdf:resource='https://xmpp.org/extensions/xep-${number}.html'/>`,
    '    <xmpp:status>complete</xmpp:status>',
    `    <xmpp:version>${escapeXml(version)}</xmpp:version>`,
    `    <xmpp:since>${escapeXml(since)}</xmpp:since>`,
    ...(note === undefined ? [] : [`    <xmpp:note xml:lang='en'>${escapeXml(note)}</xmpp:note>`]),
    '  </xmpp:SupportedXep>',
    '</implements>',
  ];
  return lines.map((line) => `    ${line}`).join('\n');
}

function isNewer(version: string, other: string): boolean {
  return version.localeCompare(other, 'en', { numeric: true }) > 0;
}

function escapeXml(text: string): string {
  return text.replace(/[&<>'"]/g, (char) => `&#${char.charCodeAt(0)};`);
}
