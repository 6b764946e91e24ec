import assert from 'node:assert/strict';
import type { Element } from 'ltx';
import { type Probe, settle } from './probe.ts';

/** The payload of a result; fails for anything else. */
export function payloadOf(iq: Element): Element {
  assert.equal(iq.attrs['type'], 'result', String(iq));
  return iq.getChildElements()[0]!;
}

/** The condition of an error; fails for anything else. */
export function conditionOf(reply: Element): string | undefined {
  assert.equal(reply.attrs['type'], 'error', String(reply));
  return reply.getChild('error')?.getChildElements()[0]?.name;
}

/** What disco#info says: identities as category/type, and features. */
export function infoOf(query: Element): { readonly identities: readonly string[]; readonly features: readonly string[] } {
  return {
    identities: query.getChildren('identity').map(({ attrs }) => `${attrs['category']}/${attrs['type']}`),
    features: query.getChildren('feature').map(({ attrs }) => String(attrs['var'])),
  };
}

/** One user subscribes to the presence of another, who agrees. */
export async function subscribe(from: Probe, to: Probe): Promise<void> {
  from.send(`<presence to='${to.session.jid.bare}' type='subscribe'/>`);
  await settle();
  to.send(`<presence to='${from.session.jid.bare}' type='subscribed'/>`);
  await settle();
  from.take();
  to.take();
}
