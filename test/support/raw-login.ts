import { password } from './bystanders.ts';
import { RawClient } from './raw-client.ts';

/** `<auth/>` with PLAIN. */
export function auth(name: string, secret = password): string {
  const text = Buffer.from(`\0${name}\0${secret}`).toString('base64');
  return `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>${text}</auth>`;
}

/** A request for an account (XEP-0077). */
export function registration(name: string): string {
  const fields = `<username>${name}</username><password>${password}</password>`;
  return `<iq type='set' id='r'><query xmlns='jabber:iq:register'>${fields}</query></iq>`;
}

/** Logs in on an open stream and asks for a resource; the answer to that. */
export async function bind(client: RawClient, name: string): Promise<string> {
  client.send(auth(name));
  await client.until(/<success /);
  client.sendHeader();
  await client.until(/<\/stream:features>/);
  client.send("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>");
  return (await client.until(/<iq [^>]*>.*?<\/iq>/))[0];
}

/** Somebody over TCP, from this address, who has made an account and is bound. */
export async function enter(port: number, name: string, from?: string): Promise<RawClient> {
  const client = await RawClient.open(port, from);
  client.send(registration(name));
  await client.until(/<iq [^>]*type='result'/);
  await bind(client, name);
  return client;
}
