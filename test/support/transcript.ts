import assert from 'node:assert/strict';
import type { Element } from 'ltx';
import { read } from './fake-transport.ts';
import type { Probe } from './probe.ts';
import { settle } from './probe.ts';
import type { TestHost } from './start-host.ts';

// Transcripts in the format of scansion: who sends what, and who receives what because of it. A file reads as a story
// and runs against other servers too.

type Step =
  | { readonly who: string; readonly does: 'connects' | 'disconnects' | 'drops' | 'receives nothing' }
  | { readonly who: string; readonly does: 'sends' | 'receives' | 'receives in any order'; readonly xml: string };

/** A transcript that was read: the clients' bare JIDs by their names, and the steps. */
export interface Transcript {
  readonly title: string;
  readonly clients: ReadonlyMap<string, string>;
  readonly steps: readonly Step[];
}

/** Reads a transcript. Throws with the line that cannot be understood. */
export function readTranscript(text: string): Transcript {
  const lines = text.split('\n');
  const title = (lines.find((line) => line.startsWith('#')) ?? '# untitled').replace(/^#+\s*/, '');
  const clients = new Map<string, string>();
  const steps: Step[] = [];
  let client = '';
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i]!.trimEnd();
    if (line === '' || line.startsWith('#') || /^-+$/.test(line)) continue;
    const section = /^\[Client\] (.+)$/.exec(line);
    const jid = /^\s+jid: (\S+)$/.exec(line);
    const verb = /^(.+?) (connects|disconnects|drops|receives nothing|sends:|receives:|receives in any order:)$/.exec(line);
    if (section) client = section[1]!;
    else if (jid) clients.set(client, jid[1]!);
    else if (/^\s+password: /.test(line)) continue;
    else if (!verb) throw new Error(`line ${i + 1}: cannot read "${line}"`);
    else if (!verb[2]!.endsWith(':')) steps.push({ who: verb[1]!, does: verb[2] as 'connects' });
    else {
      const body: string[] = [];
      while (i + 1 < lines.length && /^(\s+\S|\s*$)/.test(lines[i + 1]!)) body.push(lines[++i]!.trim());
      steps.push({ who: verb[1]!, does: verb[2]!.slice(0, -1) as 'sends', xml: body.join('') });
    }
  }
  return { title, clients, steps };
}

/** Plays a transcript on a host; fails at the first step that goes otherwise. */
export async function play(transcript: Transcript, host: TestHost): Promise<void> {
  const probes = new Map<string, Probe>();
  const kept = new Map<string, string>();
  const fillJids = (xml: string) =>
    xml.replace(/\$\{([^}]+)'s (full )?JID\}/g, (_, who: string, full?: string) => {
      const probe = probes.get(who);
      if (!probe && !full) return transcript.clients.get(who)!.replace(/\/.*$/, '');
      assert(probe, `${who} is not connected`);
      return full ? probe.session.jid.full : probe.session.jid.bare;
    });
  const fill = (xml: string) =>
    fillJids(xml).replace(/\$\{([^}]+)\}/g, (_, name: string) => {
      const value = kept.get(name);
      assert(value !== undefined, `nothing was kept as ${name}`);
      return value;
    });
  for (const step of transcript.steps) {
    if (step.does === 'connects') probes.set(step.who, await connect(host, transcript.clients.get(step.who)));
    const probe = probes.get(step.who)!;
    if (step.does === 'disconnects') probe.leave();
    else if (step.does === 'drops') probe.drop();
    else if (step.does === 'receives nothing') await probe.quiet();
    else if (step.does === 'sends') probe.send(fill(step.xml));
    else if ('xml' in step)
      await receive(probe, read(`<all>${fill(step.xml)}</all>`).getChildElements(), { who: step.who, kept });
    if (!step.does.startsWith('receives')) await settle();
  }
}

async function connect(host: TestHost, address: string | undefined): Promise<Probe> {
  assert(address, 'a client without a jid');
  const jid = host.jid(address);
  return host.login(jid.local, jid.resource || undefined);
}

interface Scene {
  readonly who: string;
  /** Where values are remembered that later steps name. */
  readonly kept: Map<string, string>;
}

/** One stanza, or as many as are wanted, in any order. */
async function receive(probe: Probe, wanted: readonly Element[], { who, kept }: Scene): Promise<void> {
  const left = [...wanted];
  while (left.length > 0) {
    const found = await probe.receive();
    const problems = left.map((stanza) => compare(found, stanza, { path: '', kept }));
    const at = problems.indexOf(undefined);
    assert(at >= 0, `${who} received something else: ${problems.join('; ')}\n  wanted ${left.join(' or ')}\n  found  ${found}`);
    left.splice(at, 1);
  }
}

interface Place {
  readonly path: string;
  readonly kept: Map<string, string>;
}

/**
 * What is written must be there. Of attributes, `{scansion:any}` matches whatever is there, `{keep:NAME}` too and gives `${NAME}` its value in
 * later steps, and `{scansion:none}` wants none. Under scansion:strict='true' no other child and no other text may be there.
 */
function compare(found: Element, wanted: Element, { path, kept }: Place): string | undefined {
  const here = `${path}/${wanted.name}`;
  if (found.name !== wanted.name) return `${here}: found <${found.name}/>`;
  const { 'scansion:strict': strict, ...attrs } = wanted.attrs as Record<string, string>;
  for (const [name, value] of Object.entries(attrs)) {
    if (name === 'xmlns:scansion') continue;
    const actual: string | undefined = name === 'xmlns' ? found.getNS() : found.attrs[name];
    if (!matches(actual, value, kept)) return `${here}/@${name}: ${actual}`;
  }
  const children = wanted.getChildElements();
  const text = wanted.getText().trim();
  const isTextMeant = children.length === 0 && (text !== '' || strict === 'true');
  if (isTextMeant && text !== found.getText().trim()) return `${here}: "${found.getText()}"`;
  const left = found.getChildElements();
  for (const child of children) {
    const at = left.findIndex((other) => compare(other, child, { path: here, kept }) === undefined);
    if (at < 0) return `${here}: no ${child}`;
    left.splice(at, 1);
  }
  return strict === 'true' && left.length > 0 ? `${here}: also ${left.join('')}` : undefined;
}

function matches(actual: string | undefined, wanted: string, kept: Map<string, string>): boolean {
  if (wanted === '{scansion:none}') return actual === undefined;
  if (actual === undefined) return false;
  const name = /^\{keep:(.+)\}$/.exec(wanted)?.[1];
  if (name !== undefined) kept.set(name, actual);
  return name !== undefined || wanted === '{scansion:any}' || actual === wanted;
}
