// Accounts for real clients: who has one, who sees whose presence, and where to log in.
import assert from 'node:assert/strict';
import { type ServerProcess, USUAL_MODULES } from '../support/server-process.ts';
import { WireClient } from '../support/wire-client.ts';
import type { Line } from './line.ts';
import type { Login } from './peer.ts';

/** Everybody's. */
export const PASSWORD = 'correct horse';

/** The modules of a server that lets clients resume and catch up. */
export const LASTING_MODULES: Readonly<Record<string, unknown>> = {
  ...USUAL_MODULES,
  ...Object.fromEntries(['commands', 'sm', 'mam', 'carbons', 'csi', 'mds', 'inbox'].map((name) => [name, {}])),
};

/** How somebody logs in at this server. */
export function loginAt(server: ServerProcess, username: string): Login {
  const { c2s, c2sTls, http } = server;
  return { username, password: PASSWORD, domain: 'localhost', c2s, c2sTls, http };
}

/** The same, over a line that leads to one of the server's ports. */
export function loginOver(line: Line, username: string): Login {
  return { username, password: PASSWORD, domain: 'localhost', c2s: line.port, c2sTls: line.port, http: line.port };
}

/** Makes an account; its client stays. */
export async function makeAccount(server: ServerProcess, name: string): Promise<WireClient> {
  const client = await WireClient.connect(server.http);
  assert.equal(await client.register(name, PASSWORD), true);
  await client.login(name, PASSWORD, 'setup');
  return client;
}

/** Makes two accounts that see each other's presence; nobody stays. */
export async function befriend(server: ServerProcess, one: string, other: string): Promise<void> {
  const [first, second] = await Promise.all([makeAccount(server, one), makeAccount(server, other)]);
  await subscribe([first, one], [second, other]);
  for (const client of [first, second]) client.close();
}

/** Lets two who are logged in see each other's presence. */
export async function subscribe(
  [first, one]: readonly [WireClient, string],
  [second, other]: readonly [WireClient, string],
): Promise<void> {
  const subscribed = (client: WireClient, name: string) =>
    client.until(({ name: kind, children }) => {
      const item = children.map(String).find((child) => child.includes(`jid="${name}@localhost"`));
      return kind === 'iq' && item?.includes('subscription="both"') === true;
    });
  for (const client of [first, second]) {
    await client.ask("<iq type='get'><query xmlns='jabber:iq:roster'/></iq>");
    client.send('<presence/>');
  }
  await Promise.all([approves(second, one), approves(first, other)]);
  first.send(`<presence type='subscribe' to='${other}@localhost'/>`);
  second.send(`<presence type='subscribe' to='${one}@localhost'/>`);
  await Promise.all([subscribed(first, other), subscribed(second, one)]);
}

/** Resolves when the server has done all that this client has asked of it. */
export async function settle(client: WireClient): Promise<void> {
  await client.ask("<iq type='get' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>");
}

/** Approves a request that has not come yet (RFC 6121 §3.4). */
async function approves(client: WireClient, name: string): Promise<void> {
  client.send(`<presence type='subscribed' to='${name}@localhost'/>`);
  await settle(client);
}
