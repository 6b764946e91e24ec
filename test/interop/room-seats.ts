// Somebody in a room, at a client that people use: what they see there, and what they type.
import type { Browser, Locator } from 'playwright-core';
import { Visitor } from './browser.ts';
import type { Login } from './peer.ts';
import { ProfanityPeer } from './profanity.ts';

/** A client that shows a room. */
export interface Seat {
  /** Enters the room, which is made when there is none; resolves when the client shows that one is in. */
  enter(room: string, nick: string): Promise<void>;
  say(text: string): Promise<void>;
  /** Resolves when somebody's words stand there. */
  reads(nick: string, text: string): Promise<void>;
  /** All words that stand there, from top to bottom: `nick: text`. */
  chat(): Promise<readonly string[]>;
  /** Resolves when the client tells this of the room. */
  isTold(news: RegExp): Promise<void>;
  leave(): Promise<void>;
}

/** Converse, as the server itself serves it. */
export class ConverseSeat implements Seat {
  readonly visitor: Visitor;

  private constructor(visitor: Visitor) {
    this.visitor = visitor;
  }

  /** Opens a browser profile of its own, and logs in. */
  static async open(browser: Browser, address: string, { username, password }: Login): Promise<ConverseSeat> {
    const visitor = await Visitor.open(browser, address);
    await visitor.login(username, password);
    return new ConverseSeat(visitor);
  }

  async enter(room: string, nick: string): Promise<void> {
    const { page } = this.visitor;
    const rooms = page.locator('converse-rooms-list');
    await rooms.getByRole('button', { name: 'Menu' }).click();
    await rooms.getByRole('button', { name: 'Add groupchat' }).click();
    const dialog = page.locator('converse-add-muc-modal');
    await dialog.locator('input[name=chatroom]').fill(room);
    await dialog.locator('input[name=nickname]').fill(nick);
    await dialog.getByRole('button', { name: 'Join' }).click();
    await this.isIn(nick);
  }

  /** Resolves when it is in the room that it shows, under this nick. */
  async isIn(nick: string): Promise<void> {
    await this.visitor.page.locator('converse-muc-occupants .occupant-nick').filter({ hasText: nick }).first().waitFor();
    await this.#input.waitFor();
  }

  async say(text: string): Promise<void> {
    await this.#input.fill(text);
    await this.#input.press('Enter');
  }

  async reads(nick: string, text: string): Promise<void> {
    await this.#messages
      .and(this.visitor.page.locator(`[data-from$="/${nick}"]`))
      .filter({ hasText: text })
      .first()
      .waitFor();
  }

  async chat(): Promise<readonly string[]> {
    return await this.#messages.evaluateAll((elements) =>
      elements.map((element) => {
        const nick = element.getAttribute('data-from')?.split('/')[1];
        return `${nick}: ${element.querySelector('.chat-msg__text')?.textContent.trim()}`;
      }),
    );
  }

  async isTold(news: RegExp): Promise<void> {
    await this.visitor.page.locator('.chatroom').getByText(news).first().waitFor();
  }

  /** Goes elsewhere, without a word to the server. */
  async turnAway(): Promise<void> {
    await this.visitor.page.goto('about:blank');
  }

  /** Loads the page again; resolves when it is in the room. */
  async turnBack(nick: string): Promise<void> {
    await this.visitor.page.goBack();
    await this.isIn(nick);
  }

  async leave(): Promise<void> {
    await this.visitor.close();
  }

  get #messages(): Locator {
    return this.visitor.page.locator('converse-muc converse-chat-message .chat-msg[data-from]');
  }

  get #input(): Locator {
    return this.visitor.page.locator('converse-muc textarea.chat-textarea');
  }
}

/** profanity, whose only window besides the console is the room. */
export class ProfanitySeat implements Seat {
  readonly #peer: ProfanityPeer;

  private constructor(peer: ProfanityPeer) {
    this.#peer = peer;
  }

  /** Starts it, and logs in. */
  static async open(login: Login): Promise<ProfanitySeat> {
    // The list of occupants would stand beside what is said.
    const peer = new ProfanityPeer(['/occupants default hide', '/reconnect 1']);
    await peer.start(login);
    return new ProfanitySeat(peer);
  }

  async enter(room: string, nick: string): Promise<void> {
    await this.#peer.type(`/join ${room} nick ${nick}`);
    await this.#peer.shows(new RegExp(`You have joined the room as ${nick}`));
  }

  async say(text: string): Promise<void> {
    await this.#peer.type(text);
  }

  async reads(nick: string, text: string): Promise<void> {
    await this.#peer.shows(new RegExp(`^\\S+ - ${nick}: ${text}`, 'm'));
  }

  async chat(): Promise<readonly string[]> {
    const screen = await this.#peer.look();
    return [...screen.matchAll(/^\S+ - (\S+: .*)$/gm)].map(([, words]) => words!.trim());
  }

  async isTold(news: RegExp): Promise<void> {
    await this.#peer.shows(news);
  }

  async leave(): Promise<void> {
    await this.#peer.stop();
  }
}
