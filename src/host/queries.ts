import type { Maybe } from '../hooks.ts';
import type { Envelope } from '../stanza/envelope.ts';
import type { Element } from '../xml/element.ts';
import type { XmlText } from '../xml/text.ts';

/**
 * Whom an IQ asks. server: the host itself. account: a local user's bare JID, by anyone. self: the sender's own account
 * (no `to`, or its own bare JID); what `self` does not claim goes on to `account`.
 */
export type QueryTarget = 'server' | 'account' | 'self';

/** An IQ get or set that a module answers. */
export interface Query {
  /** The child element that says what is asked. */
  readonly payload: Element;
  readonly from: Envelope['from'];
  readonly to: Envelope['to'];
  readonly env: Envelope;
}

/** Returns the payload of the result (nothing for an empty result) or throws a StanzaError. */
export type QueryHandler = (query: Query) => Maybe<Element | XmlText | void>;

interface Targets {
  server: QueryHandler | undefined;
  account: QueryHandler | undefined;
  self: QueryHandler | undefined;
}
interface Entry {
  readonly get: Targets;
  readonly set: Targets;
}

const nothing = (): Targets => ({ server: undefined, account: undefined, self: undefined });

/** Finds who answers an IQ by namespace and name, without building a string. */
export class Queries {
  readonly #table = new Map<string, Map<string, Entry>>();

  /** Claims an IQ; returns what gives it back. Throws when somebody has claimed it already. */
  add(type: 'get' | 'set', at: QueryTarget, xmlns: string, name: string, handler: QueryHandler): () => void {
    let names = this.#table.get(xmlns);
    if (!names) this.#table.set(xmlns, (names = new Map()));
    let entry = names.get(name);
    if (!entry) names.set(name, (entry = { get: nothing(), set: nothing() }));
    const targets = entry[type];
    if (targets[at]) throw new Error(`two modules answer ${type} {${xmlns}}${name} at ${at}`);
    targets[at] = handler;
    return () => {
      targets[at] = undefined;
    };
  }

  /** The handler, or undefined when nobody claims this IQ. */
  find(type: 'get' | 'set', at: QueryTarget, xmlns: string, name: string): QueryHandler | undefined {
    const targets = this.#table.get(xmlns)?.get(name)?.[type];
    if (!targets) return undefined;
    return targets[at] ?? (at === 'self' ? targets.account : undefined);
  }
}
