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
  | { readonly who: string; readonly does: 'sends' | 'receives'; readonly xml: string };

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
    const verb = /^(.+?) (connects|disconnects|drops|receives nothing|sends:|receives:)$/.exec(line);
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
  const fill = (xml: string) =>
    xml.replace(/\$\{([^}]+)'s (full )?JID\}/g, (_, who: string, full?: string) => {
      const probe = probes.get(who);
      if (!probe && !full) return transcript.clients.get(who)!.replace(/\/.*$/, '');
      assert(probe, `${who} is not connected`);
      return full ? probe.session.jid.full : probe.session.jid.bare;
    });
  for (const step of transcript.steps) {
    if (step.does === 'connects') probes.set(step.who, await connect(host, transcript.clients.get(step.who)));
    const probe = probes.get(step.who)!;
    if (step.does === 'disconnects') probe.leave();
    else if (step.does === 'drops') probe.drop();
    else if (step.does === 'receives nothing') await probe.quiet();
    else if (step.does === 'sends') probe.send(fill(step.xml));
    else if (step.does === 'receives') expect(await probe.receive(), read(fill(step.xml)), step.who);
    if (step.does !== 'receives') await settle();
  }
}

async function connect(host: TestHost, address: string | undefined): Promise<Probe> {
  assert(address, 'a client without a jid');
  const jid = host.jid(address);
  return host.login(jid.local, jid.resource || undefined);
}

function expect(found: Element, wanted: Element, who: string): void {
  const problem = compare(found, wanted, '');
  assert(problem === undefined, `${who} received something else: ${problem}\n  wanted ${wanted}\n  found  ${found}`);
}

/** What is written must be there; `{scansion:any}` matches whatever is. Under scansion:strict='true' nothing else may be there. */
function compare(found: Element, wanted: Element, path: string): string | undefined {
  const here = `${path}/${wanted.name}`;
  if (found.name !== wanted.name) return `${here}: found <${found.name}/>`;
  const { 'scansion:strict': strict, ...attrs } = wanted.attrs as Record<string, string>;
  for (const [name, value] of Object.entries(attrs)) {
    if (name === 'xmlns:scansion') continue;
    const actual = name === 'xmlns' ? found.getNS() : found.attrs[name];
    if (value === '{scansion:any}' ? actual === undefined : actual !== value) return `${here}/@${name}: ${actual}`;
  }
  const children = wanted.getChildElements();
  const text = wanted.getText().trim();
  if (children.length === 0 && text !== '' && text !== found.getText().trim()) return `${here}: "${found.getText()}"`;
  const left = found.getChildElements();
  for (const child of children) {
    const at = left.findIndex((other) => compare(other, child, here) === undefined);
    if (at < 0) return `${here}: no ${child}`;
    left.splice(at, 1);
  }
  return strict === 'true' && left.length > 0 ? `${here}: also ${left.join('')}` : undefined;
}
