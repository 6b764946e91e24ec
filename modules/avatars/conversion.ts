// From the nodes to the vCard, and back (XEP-0398 section 3).
import { StanzaError } from '#core';
import type { PepApi } from '../pep/index.ts';
import type { InStep } from '../vcard/in-step.ts';
import type { VCardApi } from '../vcard/index.ts';
import { pictureIn, withoutPicture, withPicture } from './card.ts';
import { type Avatar, publishAvatar, publishedByUs, readAvatar, removeAvatar, writeData } from './nodes.ts';
import type { Picture } from './picture.ts';
import { isHash, SAYS } from './stamp.ts';

/** What a Conversion works with. */
export interface ConversionParts {
  readonly nodes: PepApi;
  readonly cards: VCardApi;
  readonly steps: Pick<InStep<unknown>, 'isBehind' | 'ownWork'>;
  /** Under which name vCards are changed. */
  readonly by: string;
}

/** Brings the two sides into step. Tells what presence is to say from then on; `before` is what it has said until now. */
export class Conversion {
  readonly #parts: ConversionParts;

  constructor(parts: ConversionParts) {
    this.#parts = parts;
  }

  /** The nodes have changed. */
  async followNodes(username: string, before: string): Promise<string> {
    const { cards, nodes, steps, by } = this.#parts;
    const avatar = await readAvatar(nodes, username);
    if (avatar.is === 'broken' || avatar.is === 'missing') return this.#keep(username, before, avatar);
    if (avatar.picture && (await this.#copy(username, avatar.picture))) return avatar.picture.hash;
    await cards.edit(username, by, (card) => (steps.isBehind(username) ? card : withoutPicture(card)));
    return avatar.is === 'none' ? SAYS.none : SAYS.hidden;
  }

  /** The vCard has changed. */
  async followCard(username: string, before: string): Promise<string> {
    const { cards, nodes, steps } = this.#parts;
    const picture = pictureIn(await cards.of(username));
    const { is, ids } = await readAvatar(nodes, username);
    if (picture && this.#fits(picture)) {
      if (is === 'missing' || !ids.includes(picture.hash)) await this.#publish(username, picture);
    }
    // A client that sets a vCard without a picture where there was none does not speak of what is at the nodes.
    else if (ids.includes(before)) await steps.ownWork(username, () => removeAvatar(nodes, username, ids));
    return picture?.hash ?? withoutHash(before);
  }

  /** False when the picture is too big for the vCard. */
  async #copy(username: string, picture: Picture): Promise<boolean> {
    const { cards, steps, by } = this.#parts;
    try {
      await cards.edit(username, by, (card) => (steps.isBehind(username) ? card : withPicture(card, picture)));
      return true;
    } catch (error) {
      if (error instanceof StanzaError) return false;
      throw error;
    }
  }

  /**
   * There is no picture to be had from the nodes, and it is for a client to publish one; in the vCard all stays as it is. Where a picture
   * was published in the moment in which a vCard was set, one may have pushed the other out: that of the vCard it is, on both sides.
   */
  async #keep(username: string, before: string, { is, ids }: Avatar): Promise<string> {
    const { cards, nodes } = this.#parts;
    const picture = pictureIn(await cards.of(username));
    if (!picture) return withoutHash(before);
    const isPushedOut =
      is === 'missing' && (ids.includes(picture.hash) || (await publishedByUs(nodes, username)) === picture.hash);
    if (isPushedOut) await this.#publish(username, picture);
    return picture.hash;
  }

  #publish(username: string, picture: Picture): Promise<void> {
    const { nodes, steps } = this.#parts;
    return steps.ownWork(username, () => publishAvatar(nodes, username, picture));
  }

  #fits(picture: Picture): boolean {
    return Buffer.byteLength(writeData(picture)) <= this.#parts.nodes.counter.shop.around.limits.maxPayload;
  }
}

/** What is said of who has no picture in the vCard. */
function withoutHash(before: string): string {
  return isHash(before) ? SAYS.none : before;
}
