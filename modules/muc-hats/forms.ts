// XEP-0317 sections 3.2 to 3.7: the forms of the commands.
import { type Element, Jid, StanzaError, writeForm, xml } from '#core';
import type { Answers } from '../commands/index.ts';
import type { Hat } from './rack.ts';

/** The FORM_TYPE of all of them, and what the nodes of the commands begin with. */
export const NS_COMMANDS = 'urn:xmpp:hats:commands';
const NS_DATA = 'jabber:x:data';
const TITLE = 'hats#title';
const URI = 'hats#uri';
const HUE = 'hats#hue';
const JID = 'hats#jid';

/** Characters of a title. Titles and URIs are in every presence of those who wear them. */
const MAX_TITLE = 100;
const MAX_URI = 256;
/** Addresses are keys of the store, and databases bound those. Nobody's address is that long. */
const MAX_JID_BYTES = 1024;
/** Rows of a list: it is one stanza. */
const MAX_ROWS = 1000;
/** RFC 3986 sections 2 and 3: a scheme, and what may stand behind it. */
const URI_TEXT = /^[a-z][a-z0-9+.-]*:[\w\-.~:/?#[\]@!$&'()*+,;=%]+$/i;
const HUE_TEXT = /^\d{1,3}(\.\d{1,10})?$/;
/** What is not seen, or changes how what stands beside it is seen. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;

/** The form by which a hat is made. */
export function creationForm(): Element {
  return writeForm(
    'form',
    NS_COMMANDS,
    [
      { name: TITLE, type: 'text-single', label: 'Hat Title', isRequired: true },
      { name: URI, type: 'text-single', label: 'Hat URI', isRequired: true },
      { name: HUE, type: 'text-single', label: 'Hat Hue' },
    ],
    { title: 'Creating a Hat', instructions: 'Fill out this form to create a hat, or to change the one of this URI.' },
  );
}

/** The form by which one of these hats is chosen. */
export function choiceForm(title: string, hats: Iterable<Hat>): Element {
  return writeForm('form', NS_COMMANDS, [choiceOf(hats)], { title });
}

/** The form by which one of these hats is chosen for somebody. */
export function wearerForm(title: string, hats: Iterable<Hat>): Element {
  const jid = { name: JID, type: 'jid-single', label: 'User Address', isRequired: true } as const;
  return writeForm('form', NS_COMMANDS, [jid, choiceOf(hats)], { title });
}

/** Reads the hat that somebody wants to make. Throws StanzaError `not-acceptable`. */
export function readHat(answers: Answers): Hat {
  const title = one(answers, TITLE).trim();
  const uri = readUri(answers);
  const hue = answers.get(HUE)?.[0]?.trim();
  if (title === '' || title.length > MAX_TITLE || UNSEEN.test(title)) {
    throw refusal(`A title has 1 to ${MAX_TITLE} characters that can be seen`);
  }
  if (uri.length > MAX_URI || !URI_TEXT.test(uri)) throw refusal(`A hat has a URI of at most ${MAX_URI} characters`);
  if (!hue) return { uri, title };
  if (!HUE_TEXT.test(hue) || Number(hue) > 360) throw refusal('A hue is an angle from 0 to 360');
  return { uri, title, hue };
}

/** Reads which hat is meant. Some forms of XEP-0317 have another name for the field. */
export function readUri(answers: Answers): string {
  return answers.has(URI) ? one(answers, URI).trim() : one(answers, 'hat').trim();
}

/** Reads the bare JID of whoever is meant. Throws StanzaError `jid-malformed` for what is no account's. */
export function readWearer(answers: Answers): Jid {
  const jid = Jid.tryParse(one(answers, JID).trim());
  if (!jid || jid.local === '' || Buffer.byteLength(jid.bare) > MAX_JID_BYTES)
    throw new StanzaError('jid-malformed', { text: 'An account is named by its address' });
  return jid.bareJid;
}

/** The list of these hats. */
export function listOf(hats: Iterable<Hat>): Element {
  const rows = [...hats].map(({ title, uri, hue }) => [title, uri, hue]);
  return table('Hats List', [TITLE, URI, HUE], rows);
}

/** The list of those who wear something, as far as it goes into one. */
export function assignmentsOf(worn: Iterable<readonly [bare: string, hat: Hat]>): Element {
  const rows: (string | undefined)[][] = [];
  for (const [bare, { uri, title, hue }] of worn) {
    if (rows.length === MAX_ROWS) break;
    rows.push([bare, uri, title, hue]);
  }
  return table('Assigned Hats List', [JID, URI, TITLE, HUE], rows);
}

function choiceOf(hats: Iterable<Hat>) {
  const options = [...hats].map(({ title, uri }) => ({ label: title, value: uri }));
  return { name: URI, type: 'list-single', label: 'The hat', isRequired: true, options } as const;
}

function table(title: string, columns: readonly string[], rows: readonly (readonly (string | undefined)[])[]): Element {
  return xml(
    'x',
    { xmlns: NS_DATA, type: 'result' },
    xml('title', {}, title),
    xml('field', { var: 'FORM_TYPE', type: 'hidden' }, xml('value', {}, NS_COMMANDS)),
    xml('reported', {}, ...columns.map((column) => xml('field', { var: column }))),
    ...rows.map((row) =>
      xml(
        'item',
        {},
        ...row.map((value, i) => (value === undefined ? undefined : xml('field', { var: columns[i] }, xml('value', {}, value)))),
      ),
    ),
  );
}

function one(answers: Answers, name: string): string {
  const value = answers.get(name)?.[0];
  if (value === undefined) throw new StanzaError('bad-request', { text: `The field ${name} is missing` });
  return value;
}

function refusal(text: string): StanzaError {
  return new StanzaError('not-acceptable', { text });
}
