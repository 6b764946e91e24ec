import { type Element, type Envelope, isSession, type Jid, type Maybe, type Session, type SessionSlot, xml } from '#core';
import { hashLegacy } from '../caps/hash.ts';
import type { DiscoInfo } from '../disco/index.ts';

const NS_CAPS = 'http://jabber.org/protocol/caps';
const NS_INFO = 'http://jabber.org/protocol/disco#info';
const NS_DATA = 'jabber:x:data';

/** Longer ones are nobody's: they are kept for each client. */
const MAX_LENGTH = 512;
/** Verification strings that are remembered: as many kinds of client there are not. */
const REMEMBERED = 1000;

/** What a client says of itself in its presence (XEP-0115 section 4). */
interface Caps {
  readonly node: string;
  readonly ver: string;
  /** Whether `ver` is a hash that we can compute. */
  readonly isVerifiable: boolean;
}

/** What is known of one client. */
export interface Known {
  /** What it has said last; undefined while it has said nothing, or is not available. */
  caps: Caps | undefined;
  /** Whether it is interested; a promise while it is being asked. */
  isInterested: Maybe<boolean>;
  isAsked: boolean;
}

/** What it takes to know who is interested. */
export interface InterestParts {
  /** What clients have in their disco#info when they are interested: a node with `+notify` (XEP-0060 section 9.2). */
  readonly feature: string;
  readonly clients: SessionSlot<Known>;
  /** By verification string, whether the feature is behind it; only what was verified. */
  readonly verified: Map<string, boolean>;
  ask(to: Jid, type: 'get', payload: Element): Promise<Element | undefined>;
}

/**
 * Which clients want to be notified (XEP-0163 section 4.2): they say so in their disco#info, which is asked once for each verification
 * string of XEP-0115. Clients that send none are not asked.
 */
export class Interest {
  readonly #parts: InterestParts;

  constructor(parts: InterestParts) {
    this.#parts = parts;
  }

  /** What a client is known by before it has said anything. */
  static unknown(): Known {
    return { caps: undefined, isInterested: false, isAsked: false };
  }

  /** Whether this client is interested; a promise while it is being asked. Never rejects. */
  of(session: Session): Maybe<boolean> {
    return this.#parts.clients.peek(session)?.isInterested ?? false;
  }

  /** Takes note of what clients broadcast. */
  readonly note = ({ stanza, origin }: Envelope): void => {
    if (stanza.to !== undefined || !isSession(origin)) return;
    if (stanza.type === 'unavailable') return this.#forget(origin);
    // What is not said again has not changed (XEP-0115 section 8.4).
    const caps = stanza.type === undefined ? readCaps(stanza.child('c', NS_CAPS)) : undefined;
    if (!caps) return;
    const known = this.#parts.clients.get(origin);
    if (known.caps?.ver === caps.ver && known.caps.node === caps.node) return;
    known.caps = caps;
    const verified = this.#verified(caps);
    if (verified !== undefined) known.isInterested = verified;
    // A client is asked one thing at a time, however often it changes: whoever asks sees in the end what it has said last.
    else if (!known.isAsked) known.isInterested = this.#learn(origin, known);
  };

  #forget(session: Session): void {
    const known = this.#parts.clients.peek(session);
    if (!known) return;
    known.caps = undefined;
    known.isInterested = false;
  }

  async #learn(session: Session, known: Known): Promise<boolean> {
    known.isAsked = true;
    try {
      while (known.caps && !session.isClosed) {
        const { caps } = known;
        const answer = this.#verified(caps) ?? (await this.#question(session, caps));
        if (known.caps !== caps) continue;
        known.isInterested = answer;
        return answer;
      }
      return false;
    } catch {
      // It has answered with an error, or not at all: the next presence is another chance.
      known.caps = undefined;
      known.isInterested = false;
      return false;
    } finally {
      known.isAsked = false;
    }
  }

  async #question(session: Session, { node, ver, isVerifiable }: Caps): Promise<boolean> {
    const { ask, feature } = this.#parts;
    const query = await ask(session.jid, 'get', xml('query', { xmlns: NS_INFO, node: `${node}#${ver}` }));
    if (!query?.is('query', NS_INFO)) return false;
    const info = readInfo(query);
    const isInterested = info.features.includes(feature);
    // What does not fit its hash holds for this client, and for no other (section 5.4).
    if (isVerifiable && isWellFormed(info) && hashLegacy(info) === ver) this.#remember(ver, isInterested);
    return isInterested;
  }

  #verified({ ver, isVerifiable }: Caps): boolean | undefined {
    return isVerifiable ? this.#parts.verified.get(ver) : undefined;
  }

  #remember(ver: string, isInterested: boolean): void {
    const { verified } = this.#parts;
    if (verified.size >= REMEMBERED) verified.delete(verified.keys().next().value!);
    verified.set(ver, isInterested);
  }
}

function readCaps(c: Element | undefined): Caps | undefined {
  if (!c) return undefined;
  const { node, ver, hash } = c.attrs as Readonly<Record<string, unknown>>;
  if (typeof node !== 'string' || typeof ver !== 'string' || node.length + ver.length > MAX_LENGTH) return undefined;
  return { node: detach(node), ver: detach(ver), isVerifiable: hash === 'sha-1' };
}

function readInfo(query: Element): DiscoInfo {
  const read = (element: Element, name: string): string => String(element.attrs[name] ?? '');
  return {
    identities: query.getChildren('identity', NS_INFO).map((identity) => ({
      category: read(identity, 'category'),
      type: read(identity, 'type'),
      name: read(identity, 'name'),
      lang: read(identity, 'xml:lang'),
    })),
    features: query.getChildren('feature', NS_INFO).map((feature) => read(feature, 'var')),
    // A form without a hidden FORM_TYPE is ignored.
    forms: query.getChildren('x', NS_DATA).filter((form) => typesOf(form).length > 0),
  };
}

/** XEP-0115 section 5.4: what occurs twice could be made to look like something else. */
function isWellFormed({ identities, features, forms }: DiscoInfo): boolean {
  const kinds = identities.map(({ category, type, lang, name }) => `${category}/${type}/${lang}/${name}`);
  const types = forms.map((form) => new Set(typesOf(form)));
  return (
    !hasTwins(kinds) &&
    !hasTwins(features) &&
    types.every(({ size }) => size === 1) &&
    !hasTwins(types.flatMap((type) => [...type]))
  );
}

function hasTwins(texts: readonly string[]): boolean {
  return new Set(texts).size < texts.length;
}

function typesOf(form: Element): readonly string[] {
  const field = form.getChildren('field').find(({ attrs }) => attrs['var'] === 'FORM_TYPE' && attrs['type'] === 'hidden');
  return field?.getChildren('value').map((value) => value.getText()) ?? [];
}

/** A copy of its own: what was read from a stanza would keep the whole stanza in memory. */
function detach(text: string): string {
  return Buffer.from(text).toString();
}
