// A real browser, and people who sit before it: they see and press what the web client (Converse) shows.
import { join } from 'node:path';
import { type Browser, type BrowserContext, chromium, type Locator, type Page } from 'playwright-core';

/** For whatever a page has to show; a slow machine takes some of it. */
const PATIENCE = 30_000;
const PROGRAM = process.env['CHROMIUM'] ?? '/usr/bin/chromium';
/** A folder that takes pictures of what the tests see; none are taken without it. */
const PICTURES = process.env['PICTURES'];

/** The sizes of a desktop's window and of a phone. */
export const DESKTOP = { width: 1280, height: 800 };
export const PHONE = { width: 390, height: 844 };

/** Starts a browser that finds nobody but this machine. */
export function openBrowser(): Promise<Browser> {
  const args = [
    ...['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
    ...['--no-first-run', '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1'],
  ];
  return chromium.launch({ executablePath: PROGRAM, args, timeout: PATIENCE });
}

/** Somebody at the web client. */
export class Visitor {
  readonly page: Page;
  /** What no page of ours may do: break its policy, throw in our own script, ask somebody else for anything. */
  readonly complaints: readonly string[];
  readonly #context: BrowserContext;

  private constructor(context: BrowserContext, page: Page, complaints: readonly string[]) {
    this.#context = context;
    this.page = page;
    this.complaints = complaints;
  }

  /** Opens an address in a browser profile of its own. */
  static async open(browser: Browser, address: string, viewport = DESKTOP): Promise<Visitor> {
    // Without movement, what can be seen can be pressed.
    const context = await browser.newContext({ viewport, reducedMotion: 'reduce', locale: 'en' });
    context.setDefaultTimeout(PATIENCE);
    const complaints: string[] = [];
    await context.addInitScript(
      "addEventListener('securitypolicyviolation', (event) => console.error('Content Security Policy:', event.violatedDirective))",
    );
    context.on('request', (request) => noteElsewhere(request.url(), address, complaints));
    context.on('console', (message) => {
      if (/content security policy/i.test(message.text())) complaints.push(message.text());
    });
    context.on('weberror', (error) => {
      const stack = String(error.error().stack);
      // Converse throws on its own account when a slow line makes it connect twice, and goes on.
      if (stack.includes('/start.js')) complaints.push(stack);
    });
    const page = await context.newPage();
    page.on('websocket', (socket) => noteElsewhere(socket.url(), address, complaints));
    await page.goto(address);
    return new Visitor(context, page, complaints);
  }

  /** Fills in the form that makes an account, and sends it. */
  async tryRegister(username: string, password: string): Promise<void> {
    await this.page.getByRole('link', { name: 'Create an account' }).click();
    const form = this.page.locator('#converse-register');
    await form.locator('input[name=username]').fill(username);
    await form.locator('input[name=password]').fill(password);
    await this.takePicture(`${username}-register`);
    await form.getByRole('button', { name: 'Register' }).click();
  }

  /** Makes an account, which logs in as well; resolves when the list of contacts is there. */
  async register(username: string, password: string): Promise<void> {
    await this.tryRegister(username, password);
    await this.#contacts.waitFor();
  }

  /** Fills in the log-in form and sends it. */
  async tryLogin(username: string, password: string): Promise<void> {
    const form = this.page.locator('#converse-login');
    await form.locator('input[name=jid]').fill(username);
    await form.locator('input[name=password]').fill(password);
    await this.takePicture(`${username}-login`);
    await form.getByRole('button', { name: 'Log in' }).click();
  }

  /** Logs in; resolves when the list of contacts is there. */
  async login(username: string, password: string): Promise<void> {
    await this.tryLogin(username, password);
    await this.#contacts.waitFor();
  }

  /** Asks somebody to become a contact. */
  async addContact(jid: string): Promise<void> {
    await this.#contacts.getByRole('button', { name: 'Menu' }).click();
    await this.#contacts.getByRole('button', { name: 'Add a contact' }).click();
    const dialog = this.page.locator('converse-add-contact-modal');
    await dialog.locator('input[name=jid]').fill(jid);
    await dialog.getByRole('button', { name: 'Add', exact: true }).click();
    await dialog.waitFor({ state: 'hidden' });
  }

  /** Lets somebody who has asked become a contact. */
  async acceptContact(jid: string): Promise<void> {
    const request = this.page.locator('.requesting-xmpp-contact').filter({ hasText: jid });
    await request.getByRole('button', { name: 'Menu' }).click();
    await request.locator('.accept-xmpp-request').click();
    const dialog = this.page.locator('converse-accept-contact-request-modal');
    await dialog.getByRole('button', { name: 'Accept' }).click();
    await dialog.waitFor({ state: 'hidden' });
  }

  /** Resolves when this contact is shown as online. */
  async sees(jid: string): Promise<void> {
    await this.page
      .locator('converse-roster li.online')
      .filter({ has: this.#contact(jid) })
      .first()
      .waitFor();
  }

  /** Opens the chat with a contact. */
  async openChat(jid: string): Promise<void> {
    // One with unread messages is listed twice.
    await this.#contact(jid).first().click();
    await this.#input.waitFor();
  }

  /** Enters a room by this nick, which makes it when there is none; resolves when it can be written in. */
  async enterRoom(jid: string, nick: string): Promise<void> {
    await this.#rooms.getByRole('button', { name: 'Menu' }).click();
    await this.#rooms.locator('.show-add-muc-modal').click();
    const dialog = this.page.locator('converse-add-muc-modal');
    await dialog.locator('input[name=chatroom]').fill(jid);
    await dialog.locator('input[name=nickname]').fill(nick);
    await dialog.getByRole('button', { name: 'Join' }).click();
    await dialog.waitFor({ state: 'hidden' });
    await this.#input.waitFor();
  }

  /** Leaves a room. */
  async leaveRoom(jid: string): Promise<void> {
    await this.#room(jid).locator('.close-room').click();
    const dialog = this.page.locator('converse-confirm-modal');
    await dialog.getByRole('button', { name: 'Confirm' }).click();
    await dialog.waitFor({ state: 'hidden' });
  }

  /** Resolves when this room is among those that are open. */
  async hasRoom(jid: string): Promise<void> {
    await this.#room(jid).waitFor();
  }

  /** Resolves when it is not, or not any more. */
  async lacksRoom(jid: string): Promise<void> {
    await this.#room(jid).waitFor({ state: 'detached' });
  }

  /** Gives oneself a picture. */
  async choosePicture(picture: Buffer): Promise<void> {
    await this.page.locator('a.show-profile').click();
    const dialog = this.page.locator('converse-profile-modal');
    await dialog.locator('input[name=avatar_image]').setInputFiles({ name: 'me.png', mimeType: 'image/png', buffer: picture });
    await dialog.locator(`image[href="${hrefOf(picture)}"]`).waitFor();
    await dialog.getByRole('button', { name: 'Save and close' }).click();
    await dialog.waitFor({ state: 'hidden' });
  }

  /** Resolves when this is the picture of a contact, in the list and in the open chat. */
  async seesPicture(jid: string, picture: Buffer): Promise<void> {
    const image = this.page.locator(`converse-avatar[name="${jid}"] image[href="${hrefOf(picture)}"]`);
    await this.page.locator('converse-roster').filter({ has: image }).waitFor();
    await this.page.locator('converse-chat-heading').filter({ has: image }).waitFor();
  }

  /** Resolves when this is one's own picture. */
  async hasPicture(picture: Buffer): Promise<void> {
    await this.page.locator(`a.show-profile image[href="${hrefOf(picture)}"]`).waitFor({ state: 'attached' });
  }

  /** Writes in the open chat. */
  async say(text: string): Promise<void> {
    await this.#input.fill(text);
    await this.#input.press('Enter');
  }

  /** Resolves when this text stands in the open chat, as somebody's. */
  async reads(text: string, from: string): Promise<void> {
    const message = this.page.locator('converse-chat-message').filter({ hasText: text }).first();
    await message.waitFor();
    const sender = await message.locator(`[data-from="${from}"], [data-from^="${from}/"]`).count();
    if (sender === 0) throw new Error(`"${text}" is not shown as ${from}'s`);
  }

  /** All that stands in the open chat, from top to bottom: who has said what. */
  async chat(): Promise<readonly string[]> {
    const messages = this.page.locator('converse-chat-message .chat-msg[data-from]');
    return await messages.evaluateAll((elements) =>
      elements.map((element) => {
        const [from] = (element.getAttribute('data-from') ?? '').split('/');
        return `${from} ${element.querySelector('.chat-msg__text')?.textContent.trim()}`;
      }),
    );
  }

  /** Resolves when the client has connected again and taken its session up (XEP-0198). */
  async resumes(): Promise<void> {
    const socket = await this.page.waitForEvent('websocket');
    await socket.waitForEvent('framereceived', ({ payload }) => String(payload).startsWith('<resumed '));
  }

  /** Whether something is wider than the window. */
  async isTooWide(): Promise<boolean> {
    return await this.page.evaluate('document.documentElement.scrollWidth > innerWidth');
  }

  /** Takes a picture, where somebody has asked for pictures. */
  async takePicture(name: string): Promise<void> {
    if (PICTURES) await this.page.screenshot({ path: join(PICTURES, `${name}.png`), animations: 'disabled' });
  }

  async close(): Promise<void> {
    await this.#context.close();
  }

  get #contacts(): Locator {
    return this.page.locator('converse-roster .dropdown--contacts');
  }

  get #rooms(): Locator {
    return this.page.locator('converse-rooms-list');
  }

  #room(jid: string): Locator {
    return this.#rooms.locator(`li[data-room-jid="${jid}"]`);
  }

  get #input(): Locator {
    return this.page.locator('textarea.chat-textarea');
  }

  #contact(jid: string): Locator {
    return this.page.locator(`a.open-chat[data-jid="${jid}"]`);
  }
}

function hrefOf(picture: Buffer): string {
  return `data:image/png;base64,${picture.toString('base64')}`;
}

/** A request is fine at the page's own place, which includes its WebSocket, and inside the page. */
function noteElsewhere(url: string, address: string, complaints: string[]): void {
  const { protocol, host } = new URL(url);
  if (protocol === 'data:' || protocol === 'blob:') return;
  if (host !== new URL(address).host) complaints.push(`a request to ${url}`);
}
