import { StanzaError } from '#core';

/** Bytes a nick may have. */
const MAX_NICK = 255;

/** Letters of other scripts that look like Latin ones in most typefaces (from the confusables of UTS 39, the common ones), and those. */
const ALIKE = new Map(
  [
    ['аɑαａ', 'a'],
    ['ьЬ', 'b'],
    ['сϲｃ', 'c'],
    ['ԁ', 'd'],
    ['еєҽ', 'e'],
    ['һ', 'h'],
    ['іιıӏlǀ1|', 'i'],
    ['јϳ', 'j'],
    ['кκ', 'k'],
    ['мм', 'm'],
    ['ո', 'n'],
    ['оοσօ0', 'o'],
    ['рρ', 'p'],
    ['ԛ', 'q'],
    ['ѕ', 's'],
    ['тτ', 't'],
    ['υս', 'u'],
    ['ѵν', 'v'],
    ['ѡω', 'w'],
    ['хχ', 'x'],
    ['уγ', 'y'],
  ].flatMap(([from, to]) => [...from!].map((letter) => [letter, to!] as const)),
);

const PLAIN = /^[a-km-z2-9_-]+$/;

/**
 * What two nicks have in common that people could not tell apart: without regard to case, width and form, to marks that are not seen, to
 * spaces, and to letters of other scripts that look the same (XEP-0045 section 14; UTS 39 section 4 in spirit). Empty for a nick in
 * which there is nothing to be seen.
 */
export function fold(nick: string): string {
  // Nearly all nicks are plain, and this is asked often.
  if (PLAIN.test(nick)) return nick;
  const bare = nick
    .normalize('NFKC')
    .toLowerCase()
    // With the Braille pattern without a dot, which is drawn as nothing and counts as a symbol.
    .replace(/\p{Default_Ignorable_Code_Point}|\p{Cf}|\p{Cc}|\u2800/gu, '')
    .replace(/\s+/gu, ' ')
    .trim();
  let folded = '';
  for (const letter of bare) folded += ALIKE.get(letter) ?? letter;
  return folded;
}

/** Throws StanzaError `jid-malformed` for what nobody could see or name. */
export function checkNickname(nick: string): void {
  if (nick === '' || fold(nick) === '' || Buffer.byteLength(nick) > MAX_NICK) {
    throw new StanzaError('jid-malformed', { text: 'A nick is needed that can be seen' });
  }
}
