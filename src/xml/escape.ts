const SPECIAL = /[&<>"'\t\r\n]/;
const EACH = /[&<>"'\t\r\n]/g;

function replace(char: string): string {
  switch (char) {
    case '&':
      return '&amp;';
    case '<':
      return '&lt;';
    case '>':
      return '&gt;';
    case '"':
      return '&quot;';
    case "'":
      return '&apos;';
    default:
      // XML 1.0 section 3.3.3: as they are, these would come out of an attribute as spaces.
      return `&#${char.charCodeAt(0)};`;
  }
}

/** Text as it may stand in an attribute (in either kind of quotes) or between tags (XML 1.0 section 2.4). */
export function escapeXml(text: string): string {
  return SPECIAL.test(text) ? text.replace(EACH, replace) : text;
}

const SPECIAL_IN_TEXT = /[&<>\r]/;
const EACH_IN_TEXT = /[&<>\r]/g;

/** Text as it may stand between tags, with no more escaped than has to be. */
export function escapeText(text: string): string {
  return SPECIAL_IN_TEXT.test(text) ? text.replace(EACH_IN_TEXT, replace) : text;
}

const REFERENCE = /&(#x[0-9a-fA-F]+|#[0-9]+|[a-z]+);/g;

function resolve(_match: string, name: string): string {
  switch (name) {
    case 'amp':
      return '&';
    case 'lt':
      return '<';
    case 'gt':
      return '>';
    case 'quot':
      return '"';
    case 'apos':
      return "'";
    default:
      return String.fromCodePoint(name.startsWith('#x') ? Number.parseInt(name.slice(2), 16) : Number(name.slice(1)));
  }
}

/** Resolves the references in text that the scanner has let pass: the five of XML 1.0 section 4.6, and numeric ones. */
export function unescapeXml(text: string): string {
  return text.includes('&') ? text.replace(REFERENCE, resolve) : text;
}

/** The value of an attribute as it is meant (XML 1.0 section 3.3.3): white space made spaces, references resolved. */
export function attributeValue(text: string): string {
  return unescapeXml(/[\t\r\n]/.test(text) ? text.replace(/\r\n|[\t\r\n]/g, ' ') : text);
}

/** Character data as it is meant (XML 1.0 section 2.11): line ends made line feeds, references resolved. */
export function characterData(text: string): string {
  return unescapeXml(text.includes('\r') ? text.replace(/\r\n?/g, '\n') : text);
}
