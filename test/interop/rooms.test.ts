import assert from 'node:assert/strict';
import type { Browser } from 'playwright-core';
import { ServerProcess } from '../support/server-process.ts';
import { WireClient } from '../support/wire-client.ts';
import { openBrowser } from './browser.ts';
import { JsxcSeat, JsxcSite } from './jsxc.ts';
import { Line } from './line.ts';
import { LASTING_MODULES, loginAt, loginOver, makeAccount, PASSWORD } from './people.ts';
import { ConverseSeat, ProfanitySeat, type Seat } from './room-seats.ts';

// People with two web clients and one for the terminal talk in one room: everybody sees everything once and in the same order, who
// comes late sees what was said, and who was away for a while misses nothing.

const ROOM = 'lounge@conference.localhost';

describe('people in a room', function () {
  this.timeout(30_000);

  let server: ServerProcess;
  let browser: Browser;
  let site: JsxcSite;
  let address: string;
  let juliet: ConverseSeat;
  let nurse: JsxcSeat;
  let tybalt: ProfanitySeat;
  /** What profanity is connected by. */
  let line: Line;
  /** Those who are in the room, by nick. */
  const seats = new Map<string, Seat>();
  const said: string[] = [];
  const endings: (() => unknown)[] = [];

  before(async function () {
    this.timeout(120_000);
    server = await ServerProcess.create({ modules: { ...LASTING_MODULES, muc: {}, webclient: {} } });
    endings.push(() => server.remove());
    await server.start();
    address = `http://localhost:${server.http}/`;
    for (const name of ['juliet', 'nurse', 'tybalt', 'romeo', 'paris', 'peter', 'clock'])
      (await makeAccount(server, name)).close();
    site = await JsxcSite.open(server.http);
    endings.push(() => site.close());
    browser = await openBrowser();
    endings.push(() => browser.close());
  });

  after(async () => {
    await Promise.allSettled([...seats.values()].map((seat) => seat.leave()));
    for (const end of endings.reverse()) await end();
  });

  it('Converse makes one', async () => {
    juliet = await ConverseSeat.open(browser, address, loginAt(server, 'juliet'));
    await takeSeat(juliet, 'Juliet');
    await juliet.isTold(/A new groupchat has been created/);
  });

  it('JSXC enters it', async () => {
    nurse = await JsxcSeat.open(browser, site, loginAt(server, 'nurse'));
    await takeSeat(nurse, 'Nurse');
    await juliet.isTold(/Nurse .*entered/);
  });

  it('profanity enters it', async () => {
    line = await Line.to(server.c2s);
    endings.push(() => line.close());
    tybalt = await ProfanitySeat.open(loginOver(line, 'tybalt'));
    await takeSeat(tybalt, 'Tybalt');
    await juliet.isTold(/Tybalt .*entered/);
    await nurse.isTold(/Tybalt entered the room/);
  });

  it('what anybody says everybody sees, once and in the same order', async () => {
    for (const round of [1, 2, 3]) {
      for (const nick of seats.keys()) await say(nick, `round ${round} of ${nick}`);
    }
    for (const number of [1, 2, 3, 4, 5, 6, 7, 8]) await begin('Tybalt', `quick ${number}`);
    await say('Tybalt', 'quick no more');
    await say('Juliet', 'That was quick & loud — schön!');
    await allHaveSeenAll();
  });

  it('everybody is told the subject', async () => {
    await juliet.say('/topic Names and roses');
    await juliet.isTold(/Names and roses/);
    await nurse.isTold(/Juliet changed the room subject to "Names and roses"/);
    await tybalt.isTold(/Juliet has set the room subject: Names and roses/);
  });

  it('everybody is told that a nick has changed, and sees who speaks then', async () => {
    await tybalt.say('/nick Prince');
    await juliet.isTold(/Prince .*entered/);
    await nurse.isTold(/Tybalt is now known as Prince/);
    seats.delete('Tybalt');
    seats.set('Prince', tybalt);
    await say('Prince', "What's in a name?");
    await juliet.say('/nick Capulet');
    await nurse.isTold(/Juliet is now known as Capulet/);
    await tybalt.isTold(/Juliet is now known as Capulet/);
    seats.delete('Juliet');
    seats.set('Capulet', juliet);
    await say('Capulet', 'That which we call a rose');
    await allHaveSeenAll();
  });

  it('JSXC, gone from its page and back over BOSH, shows what it has missed once', async () => {
    await nurse.turnAway();
    seats.delete('Nurse');
    await say('Capulet', 'The nurse is gone.');
    await say('Prince', 'So she is.');
    await nurse.turnBack();
    seats.set('Nurse', nurse);
    await nurse.reads('Prince', 'So she is.');
    await say('Nurse', 'I was but called away.');
    await say('Capulet', 'Welcome back.');
    await allHaveSeenAll();
  });

  it('Converse, loaded again, shows what it has missed once', async () => {
    await juliet.turnAway();
    seats.delete('Capulet');
    await say('Nurse', 'Where is my lady?');
    await say('Prince', 'Out of sight.');
    await juliet.turnBack('Capulet');
    seats.set('Capulet', juliet);
    await juliet.reads('Prince', 'Out of sight.');
    await say('Capulet', 'I am here.');
    await say('Nurse', 'God save you.');
    await allHaveSeenAll();
  });

  it('one is kicked, everybody else is told, and nothing is missed by whoever comes again', async () => {
    await juliet.say('/kick Prince Out of Verona!');
    await tybalt.isTold(/Kicked from .* by Capulet.* Out of Verona!/);
    await nurse.isTold(/Prince has been kicked from the room/);
    await juliet.isTold(/Prince has been kicked out by Capulet/);
    seats.delete('Prince');
    await say('Nurse', 'Banished!');
    await tybalt.enter(ROOM, 'Tybalt');
    seats.set('Tybalt', tybalt);
    await say('Tybalt', 'I am back.');
    await allHaveSeenAll();
  });

  it('profanity, whose line breaks, shows what it has missed once', async () => {
    line.lose();
    seats.delete('Tybalt');
    await say('Capulet', 'Can you hear me?');
    line.cut(false);
    await say('Nurse', 'He cannot.');
    line.mend();
    await tybalt.reads('Nurse', 'He cannot.');
    seats.set('Tybalt', tybalt);
    await say('Tybalt', 'Now I can.');
    await allHaveSeenAll();
  });

  it('who comes late with profanity sees what was said', async () => {
    await comeLate(await ProfanitySeat.open(loginAt(server, 'romeo')), 'Romeo');
  });

  it('who comes late with JSXC is told that a nick is taken, and sees what was said', async () => {
    const peter = await JsxcSeat.open(browser, site, loginAt(server, 'peter'));
    await peter.isTurnedAway(ROOM, 'Capulet', /nickname is already in use/);
    await comeLate(peter, 'Peter');
  });

  it('who comes late with Converse sees what was said', async () => {
    await comeLate(await ConverseSeat.open(browser, address, loginAt(server, 'paris')), 'Paris');
  });

  it('when the server is started again everybody is where they were, and nothing is missed', async () => {
    // JSXC waits to be asked for the password again.
    seats.delete('Nurse');
    await nurse.leave();
    await server.stop();
    line.cut();
    await server.start();
    line.mend();
    const clock = await WireClient.connect(server.http);
    endings.push(() => clock.close());
    await clock.login('clock', PASSWORD, 'tower');
    clock.send(`<presence to='${ROOM}/Clock'><x xmlns='http://jabber.org/protocol/muc'/></presence>`);
    clock.send(`<message to='${ROOM}' type='groupchat' id='hour'><body>The hour strikes.</body></message>`);
    said.push('Clock: The hour strikes.');
    for (const seat of seats.values()) await seat.reads('Clock', 'The hour strikes.');
    await say('Capulet', 'Was that an earthquake?');
    await say('Tybalt', 'It was nothing.');
    await allHaveSeenAll();
  });

  /** Enters, says something, and leaves again. */
  async function comeLate(seat: Seat, nick: string): Promise<void> {
    await takeSeat(seat, nick);
    await say(nick, `${nick} is late.`);
    await allHaveSeenAll();
    seats.delete(nick);
    await seat.leave();
  }

  async function takeSeat(seat: Seat, nick: string): Promise<void> {
    await seat.enter(ROOM, nick);
    seats.set(nick, seat);
  }

  async function begin(nick: string, text: string): Promise<void> {
    await seats.get(nick)!.say(text);
    said.push(`${nick}: ${text}`);
  }

  /** Says something; resolves when everybody sees it. */
  async function say(nick: string, text: string): Promise<void> {
    await begin(nick, text);
    for (const seat of seats.values()) await seat.reads(nick, text);
  }

  async function allHaveSeenAll(): Promise<void> {
    for (const [nick, seat] of seats) assert.deepEqual(await seat.chat(), said, `at ${nick}'s`);
  }
});
