import type { Jid } from '#core';

/** Who may be told of an account's presence, besides having a subscription: asked once for each broadcast. */
export class Audience {
  /** The account's bare JID. */
  readonly account: Jid;
  #isHidden: ((entity: Jid) => boolean) | undefined = undefined;

  constructor(account: Jid) {
    this.account = account;
  }

  /** Hides the account from all entities for which this says true. */
  hideFrom(isHidden: (entity: Jid) => boolean): void {
    const others = this.#isHidden;
    this.#isHidden = others ? (entity) => others(entity) || isHidden(entity) : isHidden;
  }

  /** Whether the account shows itself to this entity, and wants to hear of it. */
  includes(entity: Jid): boolean {
    return this.#isHidden === undefined || !this.#isHidden(entity);
  }
}
