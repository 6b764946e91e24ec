import { Element, readStanza, StanzaError } from '#core';

/** A search costs as much as it has words, each time it looks at a message. */
const MAX_TEXT = 512;
const MAX_WORDS = 16;

const BEYOND_ASCII = /[\u0080-\uffff]/;
const MARKS = /\p{M}+/gu;
/** What stands otherwise in XML than it is meant. */
const ESCAPED = /[&<>"']/;

/**
 * The words of a search: a message is found when all of them occur in what it says, in whatever order, also within other words, and
 * however they are written there (case, accents, compatibility characters).
 */
export class Words {
  readonly #words: readonly string[];
  /** Of each word its longest piece that stands in XML as it is. */
  readonly #pieces: readonly string[];

  private constructor(words: readonly string[]) {
    this.#words = words;
    this.#pieces = words.map(longestPiece).filter((piece) => piece !== '');
  }

  /** The words of a text; undefined when there is none in it. Throws StanzaError `not-acceptable` for more than anybody looks for. */
  static read(text: string): Words | undefined {
    if (text.length > MAX_TEXT) throw tooMuch();
    const words = new Set(fold(text).split(/\s+/u));
    words.delete('');
    if (words.size > MAX_WORDS) throw tooMuch();
    return words.size === 0 ? undefined : new Words([...words]);
  }

  /**
   * Whether a stanza, as XML text, is worth reading: false only when it cannot hold the words. Reading costs many times more, and in an
   * archive most messages do not hold them.
   */
  mayBeIn(stanza: string): boolean {
    // A reference by number may stand for any letter.
    if (stanza.includes('&#')) return true;
    const folded = fold(stanza);
    return this.#pieces.every((piece) => folded.includes(piece));
  }

  /** Whether all words are in a message's bodies and subjects, in whatever language. Throws XmlError for what is no stanza. */
  areIn(stanza: string): boolean {
    let text = '';
    for (const child of readStanza(stanza).element.children) {
      if (child instanceof Element && isSaid(child)) text += `${child.getText()}\n`;
    }
    const folded = fold(text);
    return this.#words.every((word) => folded.includes(word));
  }
}

function isSaid(child: Element): boolean {
  const name = child.getName();
  return (name === 'body' || name === 'subject') && child.getNS() === 'jabber:client';
}

/**
 * Texts that a reader takes for the same become the same. In capitals, since those do not depend on what stands beside them, as a final
 * sigma does, and are the same for what is written in two ways, as sharp s is.
 */
function fold(text: string): string {
  if (!BEYOND_ASCII.test(text)) return text.toUpperCase();
  // Small letters first, since the capital sharp s is its own capital.
  return text.normalize('NFKD').replace(MARKS, '').toLowerCase().toUpperCase();
}

function longestPiece(word: string): string {
  return word.split(ESCAPED).reduce((longest, piece) => (piece.length > longest.length ? piece : longest), '');
}

function tooMuch(): StanzaError {
  return new StanzaError('not-acceptable', { text: 'That is too much to search for' });
}
