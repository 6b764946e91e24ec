// The picture in a vCard (XEP-0153 section 4.4).
import { Element, xml } from '#core';
import { isPicture, type Picture, readBytes } from './picture.ts';

const NS = 'vcard-temp';

/** The picture in a vCard: the first one that can be an avatar. */
export function pictureIn(card: Element | undefined): Picture | undefined {
  for (const photo of card?.getChildren('PHOTO', NS) ?? []) {
    const picture = readBytes(photo.getChildText('BINVAL') ?? '');
    if (isPicture(picture)) return picture;
  }
  return undefined;
}

/** The vCard with this picture and no other. The same element when that is what it is. */
export function withPicture(card: Element | undefined, picture: Picture): Element {
  if (card && pictureIn(card)?.hash === picture.hash && card.getChildren('PHOTO', NS).length === 1) return card;
  const photo = xml('PHOTO', {}, xml('TYPE', {}, picture.type), xml('BINVAL', {}, picture.data.toString('base64')));
  return replace(card, photo);
}

/** The vCard without pictures; undefined when nothing else is in it. */
export function withoutPicture(card: Element | undefined): Element | undefined {
  if (!card || card.getChildren('PHOTO', NS).length === 0) return card;
  const rest = replace(card, undefined);
  return rest.getChildElements().length === 0 ? undefined : rest;
}

/** With this in the place of its pictures. */
function replace(card: Element | undefined, photo: Element | undefined): Element {
  const copy = new Element('vCard', { ...card?.attrs, xmlns: NS });
  let left = photo;
  for (const child of card?.children ?? []) {
    if (!(child instanceof Element)) copy.children.push(child);
    else if (!child.is('PHOTO', NS)) copy.children.push(child);
    else if (left) {
      copy.cnode(left);
      left = undefined;
    }
  }
  if (left) copy.cnode(left);
  return copy;
}
