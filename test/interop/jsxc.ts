// JSXC, a web client (Debian's libjs-jsxc) that speaks BOSH: its page, and somebody who sits before it.
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join } from 'node:path';
import type { Browser, BrowserContext, Locator, Page } from 'playwright-core';
import { DESKTOP } from './browser.ts';
import type { Login } from './peer.ts';
import type { Seat } from './room-seats.ts';

const PATIENCE = 30_000;

/** Where Debian puts what the page is made of. */
const FOLDERS: ReadonlyMap<string, string> = new Map([
  ['js', '/usr/share/javascript'],
  ['jsxc', '/usr/share/libjs-jsxc'],
]);
const STYLES = ['js/bootstrap/css/bootstrap.min.css', 'js/jquery-ui/themes/base/jquery-ui.min.css', 'jsxc/css/jsxc.css'];
const SCRIPTS = [
  ...['jquery.min', 'jquery.ui.min', 'jquery.colorbox-min', 'jquery.slimscroll', 'jquery.fullscreen', 'jsxc.dep.min'].map(
    (name) => `js/jsxc/lib/${name}.js`,
  ),
  'js/jsxc/jsxc.min.js',
];
const TYPES: ReadonlyMap<string, string> = new Map([
  ['.js', 'text/javascript'],
  ['.css', 'text/css'],
  ['.svg', 'image/svg+xml'],
]);

/** Its templates have elements like <div/>, which jQuery has not closed since version 3.5 unless it is told to. */
const CLOSE_ELEMENTS = String.raw`jQuery.htmlPrefilter = (html) => html.replace(/<(div|span)([^<>]*)\/>/g, '<$1$2></$1>')`;

/** A place that serves the client for one XMPP server. */
export class JsxcSite {
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  /** Its pages connect to the BOSH endpoint on this port. */
  static async open(port: number): Promise<JsxcSite> {
    const page = makePage(`http://localhost:${port}/http-bind`);
    const server = createServer((request, response) => {
      if (request.url === '/') response.setHeader('Content-Type', 'text/html; charset=utf-8').end(page);
      else void serveFile(request.url ?? '', response);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new JsxcSite(server);
  }

  get address(): string {
    return `http://localhost:${(this.#server.address() as AddressInfo).port}/`;
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

function makePage(service: string): string {
  const options = {
    root: '/jsxc',
    autoLang: false,
    notification: false,
    numberOfMsg: 1000,
    otr: { enable: false },
    xmpp: { url: service, domain: 'localhost', resource: 'jsxc' },
    loginForm: { form: '#form', jid: '#username', pass: '#password', onConnected: 'continue', ifFound: 'attach' },
  };
  const [jquery, ...others] = SCRIPTS.map((script) => `<script src="/${script}"></script>`);
  return `<!DOCTYPE html><html lang="en"><title>JSXC</title>
${STYLES.map((style) => `<link rel="stylesheet" href="/${style}">`).join('\n')}
${jquery}
<script>${CLOSE_ELEMENTS}</script>
${others.join('\n')}
<form id="form"><input id="username"><input id="password" type="password"><button>Log in</button></form>
<script>$(() => jsxc.init(${JSON.stringify(options)}))</script>`;
}

async function serveFile(url: string, response: ServerResponse): Promise<void> {
  const [, folder, ...rest] = new URL(url, 'http://localhost').pathname.split('/');
  const root = FOLDERS.get(folder ?? '');
  const path = join('/', ...rest);
  try {
    if (root === undefined) throw new Error('no such folder');
    response
      .setHeader('Content-Type', TYPES.get(extname(path)) ?? 'application/octet-stream')
      .end(await readFile(join(root, path)));
  } catch {
    response.writeHead(404).end();
  }
}

/** Somebody in a room, at that page. */
export class JsxcSeat implements Seat {
  readonly page: Page;
  readonly #context: BrowserContext;
  /** Its own nick, which the page does not show beside its own words. */
  #nick = '';

  private constructor(context: BrowserContext, page: Page) {
    this.#context = context;
    this.page = page;
  }

  /** Opens the page in a browser profile of its own, and logs in. */
  static async open(browser: Browser, { address }: JsxcSite, { username, password }: Login): Promise<JsxcSeat> {
    const context = await browser.newContext({ viewport: DESKTOP, reducedMotion: 'reduce', locale: 'en' });
    context.setDefaultTimeout(PATIENCE);
    const page = await context.newPage();
    await page.goto(address);
    await page.locator('#username').fill(username);
    await page.locator('#password').fill(password);
    await page.getByRole('button', { name: 'Log in' }).click();
    // It finds out by itself where there are rooms, and is then ready for one.
    await page.locator('#jsxc_menu .jsxc_joinChat').waitFor({ state: 'attached' });
    return new JsxcSeat(context, page);
  }

  async enter(room: string, nick: string): Promise<void> {
    this.#nick = nick;
    await this.#tryEnter(room, nick);
    await this.#window.locator(`.jsxc_memberlist [data-nickname="${nick}"]`).waitFor({ state: 'attached' });
  }

  /** Wants to enter the room; resolves when this is why it may not. */
  async isTurnedAway(room: string, nick: string, why: RegExp): Promise<void> {
    await this.#tryEnter(room, nick);
    await this.#dialog.getByText(why).waitFor();
    await this.#dialog.getByRole('button', { name: 'Close' }).click();
  }

  async #tryEnter(room: string, nick: string): Promise<void> {
    await this.page.locator('#jsxc_menu').click();
    await this.page.getByText('Join chat', { exact: true }).click();
    await this.#dialog.locator('#jsxc_room').fill(room.split('@')[0]!);
    await this.#dialog.locator('#jsxc_nickname').fill(nick);
    await this.#dialog.getByRole('button', { name: 'Continue' }).click();
    await this.#dialog.getByRole('button', { name: 'Join' }).click();
  }

  async say(text: string): Promise<void> {
    const input = this.#window.locator('.jsxc_textinput');
    await input.fill(text);
    await input.press('Enter');
  }

  async reads(nick: string, text: string): Promise<void> {
    const message = nick === this.#nick ? '.jsxc_out' : `.jsxc_in[data-name="${nick}"]`;
    await this.#window.locator(message).filter({ hasText: text }).first().waitFor({ state: 'attached' });
  }

  async chat(): Promise<readonly string[]> {
    const messages = await this.#window.locator('.jsxc_chatmessage:not(.jsxc_sys)').evaluateAll((elements) =>
      elements.map((element) => ({
        nick: element.getAttribute('data-name'),
        text: element.querySelector(':scope > div:not([class])')?.textContent,
      })),
    );
    return messages.map(({ nick, text }) => `${nick ?? this.#nick}: ${text}`);
  }

  async isTold(news: RegExp): Promise<void> {
    await this.#window.locator('.jsxc_sys').filter({ hasText: news }).first().waitFor({ state: 'attached' });
  }

  /** Goes elsewhere, without a word to the server. */
  async turnAway(): Promise<void> {
    await this.page.goto('about:blank');
  }

  /** Comes back to the page, which goes on where it was. */
  async turnBack(): Promise<void> {
    await this.page.goBack();
    await this.#window.waitFor();
  }

  async leave(): Promise<void> {
    await this.#context.close();
  }

  get #dialog(): Locator {
    return this.page.locator('#jsxc_dialog');
  }

  get #window(): Locator {
    return this.page.locator('.jsxc_groupchat .jsxc_window');
  }
}
