import assert from 'node:assert/strict';
import type { Browser } from 'playwright-core';
import { ServerProcess } from '../support/server-process.ts';
import { WireClient } from '../support/wire-client.ts';
import { openBrowser, PHONE, Visitor } from './browser.ts';
import { Line } from './line.ts';
import { befriend, LASTING_MODULES, PASSWORD, settle } from './people.ts';

// Somebody with several browsers: each shows what the others say (XEP-0280), comes back when its line breaks (XEP-0198), and finds
// what was said while it was closed (XEP-0313), each message once.

const JULIET = 'juliet@localhost';
const ROMEO = 'romeo@localhost';

describe('browsers of one account', function () {
  this.timeout(60_000);

  let server: ServerProcess;
  let browser: Browser;
  let address: string;
  let line: Line;
  let romeo: WireClient;
  let desk: Visitor;
  let phone: Visitor;
  const endings: (() => unknown)[] = [];
  const said: string[] = [];

  before(async () => {
    server = await ServerProcess.create({ modules: { ...LASTING_MODULES, webclient: {} } });
    endings.push(() => server.remove());
    await server.start();
    address = `http://localhost:${server.http}/`;
    line = await Line.to(server.http);
    endings.push(() => line.close());
    await befriend(server, 'juliet', 'romeo');
    romeo = await WireClient.connect(server.http);
    await romeo.login('romeo', PASSWORD, 'orchard');
    romeo.send('<presence/>');
    browser = await openBrowser();
    endings.push(() => browser.close());
    const visit = async (at: string, size?: typeof PHONE) => {
      const visitor = await Visitor.open(browser, at, size);
      await visitor.login('juliet', PASSWORD);
      await visitor.openChat(ROMEO);
      return visitor;
    };
    [desk, phone] = await Promise.all([visit(address), visit(`http://localhost:${line.port}/`, PHONE)]);
  });

  after(async () => {
    for (const end of endings.reverse()) await end();
  });

  it('what is said in one stands in the other, as does what others say', async () => {
    await sayAt(desk, 'from the desk');
    await phone.reads('from the desk', JULIET);
    await sayAt(phone, 'from the phone');
    await desk.reads('from the phone', JULIET);
    await sayAsRomeo('from romeo');
    for (const device of [desk, phone]) {
      await device.reads('from romeo', ROMEO);
      assert.deepEqual(await device.chat(), said);
    }
  });

  it('a broken line is mended without a word, and nothing is missed or doubled', async () => {
    const resumed = phone.resumes();
    line.lose();
    await sayAsRomeo('lost');
    line.cut(false);
    await sayAt(desk, 'the desk goes on');
    await sayAsRomeo('meanwhile');
    line.mend();
    await resumed;
    await sayAsRomeo('well again');
    for (const device of [desk, phone]) {
      await device.reads('well again', ROMEO);
      assert.deepEqual(await device.chat(), said);
    }
  });

  it('a page that is loaded again shows the history once, and goes on', async () => {
    await desk.page.goto('about:blank');
    await sayAsRomeo('while nobody is at the desk');
    await sayAt(phone, 'only at the phone');
    await desk.page.goto(address);
    await desk.openChat(ROMEO);
    await sayAsRomeo('welcome back');
    await desk.reads('welcome back', ROMEO);
    await sayAt(desk, 'back at the desk');
    await phone.reads('back at the desk', JULIET);
    for (const device of [desk, phone]) assert.deepEqual(await device.chat(), said);
  });

  it('a browser that was never here shows the whole history', async () => {
    const other = await Visitor.open(browser, address);
    await other.login('juliet', PASSWORD);
    await other.openChat(ROMEO);
    await other.reads('back at the desk', JULIET);
    await sayAsRomeo('to all of them');
    for (const device of [desk, phone, other]) {
      await device.reads('to all of them', ROMEO);
      assert.deepEqual(await device.chat(), said);
    }
  });

  /** Juliet says it; resolves when Romeo has got it. */
  async function sayAt(device: Visitor, body: string): Promise<void> {
    await device.say(body);
    await romeo.until((element) => element.getChildText('body') === body);
    said.push(`${JULIET} ${body}`);
  }

  async function sayAsRomeo(body: string): Promise<void> {
    romeo.send(`<message to='${JULIET}' type='chat' id='${body}'><body>${body}</body></message>`);
    await settle(romeo);
    said.push(`${ROMEO} ${body}`);
  }
});
