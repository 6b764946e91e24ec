import { XmlError } from './chars.ts';
import { attributeOf, nameOf, PLACE, PLACE_SIZE, readDeclaration, tag } from './start-tag.ts';
import { utf8 } from './wire.ts';

const NS_XML = 'http://www.w3.org/XML/1998/namespace';

/** A prefix and the namespace it stands for, from `depth` on. */
export interface Declared {
  readonly depth: number;
  readonly prefix: string;
  readonly uri: string;
}

/** The prefixes in force at a place of a stream (Namespaces in XML section 6). */
export class Namespaces {
  readonly #declared: Declared[] = [];
  /** Prefixes of the stream's header (depth 1) that were used since `forgetUses`. */
  #inherited: Map<string, string> | undefined = undefined;

  /** Starts anew with what a stream's header has declared. */
  begin(header: readonly Declared[]): void {
    this.#declared.length = 0;
    for (const each of header) this.#declared.push(each);
    this.#inherited = undefined;
  }

  /** Takes in what `tag`, an element at this depth, declares, and checks that every prefix in it is bound. Throws XmlError. */
  enter(buf: Buffer, start: number, depth: number): void {
    if (tag.declarations > 0) {
      for (let i = 0; i < tag.count; i++) this.#declare(buf, i, depth);
    }
    if (tag.colon >= 0) this.#resolve(utf8(buf, start + 1, tag.colon));
    if (tag.prefixed > 0) this.#checkAttributes(buf);
  }

  /** Leaves an element at this depth. */
  leave(depth: number): void {
    const declared = this.#declared;
    while (declared.length > 0 && declared[declared.length - 1]!.depth >= depth) declared.length--;
  }

  /** What a prefix stands for here; throws XmlError when it stands for nothing. */
  #resolve(prefix: string): string {
    const found = this.find(prefix);
    if (found === undefined) throw new XmlError('not-well-formed', 'A prefix that is not declared');
    return found;
  }

  /** What a prefix stands for here, or undefined. */
  find(prefix: string): string | undefined {
    if (prefix === 'xml') return NS_XML;
    for (let i = this.#declared.length - 1; i >= 0; i--) {
      const { prefix: other, uri, depth } = this.#declared[i]!;
      if (other !== prefix) continue;
      if (depth === 1) (this.#inherited ??= new Map()).set(prefix, uri);
      return uri;
    }
    return undefined;
  }

  /** The prefixes used since the last call that only the stream's header declares. */
  takeInherited(): ReadonlyMap<string, string> | undefined {
    const inherited = this.#inherited;
    this.#inherited = undefined;
    return inherited;
  }

  #declare(buf: Buffer, index: number, depth: number): void {
    const name = nameOf(buf, index);
    if (!name.startsWith('xmlns:')) return;
    const { prefix, uri } = readDeclaration(name, attributeOf(buf, index));
    if (prefix !== 'xml') this.#declared.push({ depth, prefix, uri });
  }

  /** Namespaces in XML section 6.3: no two attributes of one name, however their prefixes are written. */
  #checkAttributes(buf: Buffer): void {
    const seen = new Set<string>();
    for (let base = 0; base < tag.count * PLACE_SIZE; base += PLACE_SIZE) {
      const name = utf8(buf, tag.places[base + PLACE.name], tag.places[base + PLACE.nameEnd]);
      const colon = name.indexOf(':');
      if (colon < 0 || name.startsWith('xmlns:') || name.startsWith('xml:')) continue;
      const expanded = `${this.#resolve(name.slice(0, colon))}\n${name.slice(colon + 1)}`;
      if (seen.has(expanded)) throw new XmlError('not-well-formed', 'An attribute twice');
      seen.add(expanded);
    }
  }
}
