import { Element, writeElement, xml } from '#core';
import { hasPicture } from './binaries.ts';
import { type Kind, NS_FOUR, NS_TEMP, type Value } from './kinds.ts';

/** One of the two forms. */
type Side = 'four' | 'temp';

const ROOTS = { four: { name: 'vcard', xmlns: NS_FOUR }, temp: { name: 'vCard', xmlns: NS_TEMP } } as const;
const PHOTO = 'photo';

/**
 * Brings vCards of the two forms into step. What both can say the one is given from the other; what only one can say, such as the finer
 * kinds of a telephone number, stays where it is.
 */
export class Merger {
  readonly #kinds: { readonly [side in Side]: ReadonlyMap<string, Kind> };

  constructor(kinds: readonly Kind[]) {
    this.#kinds = {
      four: new Map(kinds.map((kind) => [kind.four, kind])),
      temp: new Map(kinds.flatMap((kind) => kind.temp.map((name) => [name, kind]))),
    };
  }

  /** The vCard4 after the other one was set. The same element when it is right as it is, undefined when nothing is in it. */
  toFour(four: Element | undefined, temp: Element | undefined): Element | undefined {
    const children = this.#merge(four, this.#read(temp, 'temp'), 'four');
    const says = (child: unknown): child is Element => child instanceof Element && child.getName() !== PHOTO;
    // A picture alone is no vCard4: it has nodes of its own.
    if (!four && !children.some(says)) return undefined;
    return build(four, named(children), 'four');
  }

  /** The reverse. Clients that write vCard4 often leave pictures out: that they have none does not mean that there is to be none. */
  toTemp(temp: Element | undefined, four: Element | undefined): Element | undefined {
    const wanted = this.#read(four, 'four');
    const photo = this.#kinds.four.get(PHOTO)!;
    const photos = [...(wanted.get(photo)?.values() ?? [])];
    const isGiven = photos.some(([type]) => type !== '');
    const isKept = photos.length === 0 || (!isGiven && hasPicture(temp));
    const before = isGiven ? this.#withoutOtherPhotos(temp, photo, photos) : temp;
    const children = this.#merge(before, wanted, 'temp', isKept ? photo : undefined);
    return build(temp, children, 'temp');
  }

  /** A picture that is given takes the place even of those that are too big to be shown in vCard4. */
  #withoutOtherPhotos(temp: Element | undefined, photo: Kind, photos: readonly Value[]): Element | undefined {
    const isWanted = (child: Element) => photos.some((value) => keyOf(value) === keyOf(photo.readTemp(child) ?? ''));
    return (
      temp &&
      copyOf(
        temp,
        temp.children.filter((child) => !isElement(child) || kindName(child, 'temp') !== 'PHOTO' || isWanted(child)),
      )
    );
  }

  /** What a vCard says, by kinds. */
  #read(card: Element | undefined, side: Side): Map<Kind, Map<string, Value>> {
    const found = new Map<Kind, Map<string, Value>>();
    for (const child of card?.getChildElements() ?? []) {
      const kind = this.#kindOf(child, side);
      const value = kind && readAs(kind, child, side);
      if (!kind || value === undefined) continue;
      let values = found.get(kind);
      if (!values) found.set(kind, (values = new Map()));
      values.set(keyOf(value), value);
    }
    return found;
  }

  #merge(card: Element | undefined, wanted: Map<Kind, Map<string, Value>>, side: Side, kept?: Kind): Element['children'] {
    const children: Element['children'] = [];
    const there = new Map<Kind, Set<string>>();
    for (const child of card?.children ?? []) {
      const kind = isElement(child) ? this.#kindOf(child, side) : undefined;
      const value = kind && kind !== kept && isElement(child) ? readAs(kind, child, side) : undefined;
      if (!kind || value === undefined) {
        children.push(child);
        continue;
      }
      const key = keyOf(value);
      if (!wanted.get(kind)?.has(key)) continue;
      there.set(kind, (there.get(kind) ?? new Set()).add(key));
      children.push(child);
    }
    for (const [kind, values] of wanted) {
      if (kind === kept) continue;
      for (const [key, value] of values) {
        if (!there.get(kind)?.has(key)) children.push(side === 'four' ? kind.writeFour(value) : kind.writeTemp(value));
      }
    }
    return children;
  }

  #kindOf(element: Element, side: Side): Kind | undefined {
    const name = kindName(element, side);
    return name === undefined ? undefined : this.#kinds[side].get(name);
  }
}

/** vCard4 wants a name that is shown (RFC 6350 section 6.2.1): out of the others, where there is none. */
function named(children: Element['children']): Element['children'] {
  const find = (name: string) => children.find((child): child is Element => isElement(child) && child.getName() === name);
  if (find('fn')) return children;
  const n = find('n');
  const parts = [n?.getChildText('given'), n?.getChildText('surname')].map((part) => part?.trim() ?? '');
  const name = parts.filter((part) => part !== '').join(' ') || (find('nickname')?.getChildText('text')?.trim() ?? '');
  return name === '' ? children : [xml('fn', {}, xml('text', {}, name)), ...children];
}

function build(before: Element | undefined, children: Element['children'], side: Side): Element | undefined {
  if (!children.some(isElement)) return undefined;
  const { name, xmlns } = ROOTS[side];
  const card = copyOf(before ?? xml(name, xmlns), children);
  return before && writeElement(card) === writeElement(before) ? before : card;
}

function copyOf(card: Element, children: Element['children']): Element {
  const copy = new Element(card.name);
  copy.attrs = card.attrs;
  for (const child of children) {
    // Only what is new has to be told where it stands.
    if (isElement(child) && !child.parent) copy.cnode(child);
    else copy.children.push(child);
  }
  return copy;
}

function readAs(kind: Kind, element: Element, side: Side): Value | undefined {
  return side === 'four' ? kind.readFour(element) : kind.readTemp(element);
}

function kindName(element: Element, side: Side): string | undefined {
  return element.getNS() === ROOTS[side].xmlns ? element.getName() : undefined;
}

function keyOf(value: Value): string {
  return JSON.stringify(value);
}

function isElement(child: unknown): child is Element {
  return child instanceof Element;
}
