import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Browser, Page } from 'playwright-core';
import { ServerProcess, USUAL_MODULES } from '../support/server-process.ts';
import { DESKTOP, openBrowser, PHONE, Visitor } from './browser.ts';
import { XmppClientPeer } from './node-clients.ts';
import { PageStrophePeer } from './page-strophe.ts';
import { befriend, loginAt, makeAccount, PASSWORD } from './people.ts';

// People with nothing but a browser: they open the address that the server prints, make an account and chat, with each other and
// with whoever uses another client; and web pages bring a client of their own, over BOSH.

describe('browsers', function () {
  this.timeout(120_000);

  let server: ServerProcess;
  let browser: Browser;
  let address: string;
  const visitors: Visitor[] = [];
  const endings: (() => Promise<unknown>)[] = [];

  before(async () => {
    // The client on Node checks certificates; this one is made by the server itself.
    process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0';
    server = await ServerProcess.create({
      modules: { ...USUAL_MODULES, webclient: { registration: true } },
    });
    endings.push(() => server.remove());
    await server.start();
    address = `http://localhost:${server.http}/`;
    browser = await openBrowser();
    endings.push(() => browser.close());
  });

  after(async () => {
    for (const end of endings.reverse()) await end();
  });

  async function visit(viewport = DESKTOP): Promise<Visitor> {
    const visitor = await Visitor.open(browser, address, viewport);
    visitors.push(visitor);
    return visitor;
  }

  it('two people make accounts, become contacts and chat', async () => {
    const [juliet, romeo] = await Promise.all([visit(), visit()]);
    await Promise.all([juliet.register('juliet', PASSWORD), romeo.register('romeo', PASSWORD)]);
    await juliet.takePicture('juliet-new');
    await juliet.addContact('romeo@localhost');
    await romeo.acceptContact('juliet@localhost');
    // Converse lets the one who asked see the other, and asks for nothing in return.
    await juliet.sees('romeo@localhost');

    await Promise.all([juliet.openChat('romeo@localhost'), romeo.openChat('juliet@localhost')]);
    await juliet.say('Wherefore art thou Romeo?');
    for (const person of [juliet, romeo]) await person.reads('Wherefore art thou Romeo?', 'juliet@localhost');
    await romeo.say('Shall I hear more, or shall I speak at this? <b>&amp; 💘');
    for (const person of [juliet, romeo])
      await person.reads('Shall I hear more, or shall I speak at this? <b>&amp; 💘', 'romeo@localhost');
    await romeo.takePicture('romeo-chat');
    await Promise.all([juliet.close(), romeo.close()]);
  });

  it('tells somebody that the password is wrong, and takes the right one', async () => {
    const juliet = await visit();
    await juliet.tryLogin('juliet', 'wrong');
    await juliet.page.getByText('password is incorrect').waitFor();
    await juliet.login('juliet', PASSWORD);
    await juliet.page.locator('a.open-chat[data-jid="romeo@localhost"]').first().waitFor();
    await juliet.close();
  });

  it('tells somebody that a name is taken', async () => {
    const other = await visit();
    await other.tryRegister('romeo', PASSWORD);
    await other.page.getByText('Please try a different username').waitFor();
    await other.takePicture('name-taken');
    await other.close();
  });

  it('a browser on a phone and a client over TCP chat', async () => {
    await befriend(server, 'rosaline', 'tybalt');
    const tybalt = await clientOverTcp('tybalt');
    const rosaline = await visit(PHONE);
    await rosaline.login('rosaline', PASSWORD);
    await tybalt.sees('rosaline@localhost');
    await rosaline.sees('tybalt@localhost');
    await rosaline.takePicture('rosaline-contacts');
    await rosaline.openChat('tybalt@localhost');
    await rosaline.say('What, art thou drawn?');
    await tybalt.got('rosaline@localhost', 'What, art thou drawn?');
    await tybalt.send('rosaline@localhost', 'Turn thee, look upon thy death.');
    await rosaline.reads('Turn thee, look upon thy death.', 'tybalt@localhost');
    assert.equal(await rosaline.isTooWide(), false);
    await rosaline.takePicture('rosaline-chat');
    await rosaline.close();
  });

  it('a page of the server itself brings a client that speaks BOSH', async () => {
    const page = await visit();
    await chatOverBosh(page, 'nurse', 'peter');
    await page.close();
  });

  it('so does a page from elsewhere', async () => {
    const elsewhere = await serveEmptyPage();
    const page = await Visitor.open(browser, `http://localhost:${elsewhere}/`);
    await chatOverBosh(page, 'paris', 'page');
    await page.close();
  });

  it('only pages from the configured origins may, where there are some', async () => {
    const elsewhere = await serveEmptyPage();
    const strict = await ServerProcess.create({ http: { origins: [`http://localhost:${elsewhere}`] } });
    endings.push(() => strict.remove());
    await strict.start();
    await makeAccount(strict, 'benvolio');
    const welcome = await Visitor.open(browser, `http://localhost:${elsewhere}/`);
    await new PageStrophePeer(welcome.page).start(loginAt(strict, 'benvolio'));
    assert.equal(await canPost(welcome.page, strict), true);
    await welcome.close();
    const stranger = await Visitor.open(browser, `http://127.0.0.1:${elsewhere}/`);
    assert.equal(await canPost(stranger.page, strict), false);
    await stranger.close();
  });

  it('no page of ours has broken its policy, thrown, or asked anybody else for anything', () => {
    assert(visitors.length > 0);
    assert.deepEqual(
      visitors.flatMap(({ complaints }) => complaints),
      [],
    );
  });

  /** Logs in over BOSH, and talks to a client over TCP in both directions. */
  async function chatOverBosh(visitor: Visitor, name: string, other: string): Promise<void> {
    await befriend(server, name, other);
    const peer = await clientOverTcp(other);
    const inPage = new PageStrophePeer(visitor.page);
    await inPage.start(loginAt(server, name));
    assert.match(await inPage.mechanism(), /^SCRAM-SHA-/);
    await peer.sees(`${name}@localhost`);
    await inPage.sees(`${other}@localhost`);
    for (let round = 0; round < 5; round++) {
      await inPage.send(`${other}@localhost`, `<${round}> from ${name}`);
      await peer.got(`${name}@localhost`, `<${round}> from ${name}`);
      await peer.send(`${name}@localhost`, `<${round}> from ${other}`);
      await inPage.got(`${other}@localhost`, `<${round}> from ${other}`);
    }
    await inPage.stop();
  }

  async function clientOverTcp(username: string): Promise<XmppClientPeer> {
    const peer = new XmppClientPeer(({ c2s }) => `xmpp://127.0.0.1:${c2s}`);
    endings.push(() => peer.stop());
    await peer.start(loginAt(server, username));
    return peer;
  }

  /** Another origin, with nothing on its page; its port. */
  async function serveEmptyPage(): Promise<number> {
    const pages: Server = createServer((_request, response) => void response.setHeader('Content-Type', 'text/html').end('<p>'));
    pages.listen(0, '127.0.0.1');
    await once(pages, 'listening');
    endings.push(async () => {
      pages.closeAllConnections();
      pages.close();
    });
    return (pages.address() as AddressInfo).port;
  }
});

/** Whether a page gets to see what the BOSH endpoint answers. */
async function canPost(page: Page, server: ServerProcess): Promise<boolean> {
  return await page.evaluate(
    async (url) =>
      await fetch(url, { method: 'POST', headers: { 'Content-Type': 'text/xml' }, body: '<body/>' }).then(
        () => true,
        () => false,
      ),
    `http://localhost:${server.http}/http-bind`,
  );
}
