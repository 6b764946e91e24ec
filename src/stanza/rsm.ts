import { type Element, xml } from '../xml/element.ts';
import { StanzaError } from './errors.ts';

/** The namespace of Result Set Management (XEP-0059). */
export const NS_RSM = 'http://jabber.org/protocol/rsm';

/** xs:int, which the schema wants for `max` and `index`. */
const INTEGER = /^[+-]?\d{1,20}$/;
const MAX_INT = 2 ** 31 - 1;

/** Which page of a result set somebody asks for; what was not said is undefined. */
export interface RsmRequest {
  /** How many items at most; 0 asks for the number of items (section 2.7). */
  readonly max: number | undefined;
  /** The page before the item of this id; '' asks for the last page of all (section 2.5). */
  readonly before: string | undefined;
  /** The page after the item of this id; never empty. */
  readonly after: string | undefined;
  /** The page that begins at this place (section 2.6). */
  readonly index: number | undefined;
}

/** What is said of a page that was sent. */
export interface RsmPage {
  /** The ids of its first and last item; neither for an empty page. */
  readonly first?: string | undefined;
  readonly last?: string | undefined;
  /** How many items the whole result set has. */
  readonly count?: number | undefined;
}

/** Reads the `<set/>` of a request; undefined when there is none. Throws StanzaError `bad-request` for numbers that are none. */
export function readRsm(payload: Element): RsmRequest | undefined {
  const set = payload.getChild('set', NS_RSM);
  if (!set) return undefined;
  return {
    max: readNumber(set, 'max'),
    before: readText(set, 'before'),
    // Without an id there is nothing to be behind of: the same as none (section 2.2).
    after: readText(set, 'after') || undefined,
    index: readNumber(set, 'index'),
  };
}

/** The `<set/>` of an answer. */
export function writeRsm({ first, last, count }: RsmPage): Element {
  return xml(
    'set',
    NS_RSM,
    first === undefined ? undefined : xml('first', {}, first),
    last === undefined ? undefined : xml('last', {}, last),
    count === undefined ? undefined : xml('count', {}, String(count)),
  );
}

function readText(set: Element, name: string): string | undefined {
  return set.getChild(name, NS_RSM)?.getText();
}

function readNumber(set: Element, name: string): number | undefined {
  const text = readText(set, name)?.trim();
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!INTEGER.test(text) || value < 0 || value > MAX_INT) {
    throw new StanzaError('bad-request', { text: `<${name}/> is a number from 0 to ${MAX_INT}` });
  }
  return value;
}
