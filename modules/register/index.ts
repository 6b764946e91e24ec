// XEP-0077: clients make accounts before they log in; afterwards they change their password or remove their account.
import {
  type C2sStream,
  defineModule,
  type Element,
  Envelope,
  errorOf,
  type FeaturesOffer,
  HANDLED,
  isSession,
  Jid,
  neighbourhood,
  nobody,
  option,
  Priority,
  type Query,
  resultOf,
  type Session,
  type Stanza,
  StanzaError,
  type StreamElement,
  StreamError,
  type Verdict,
  xml,
} from '#core';
import { Allowance } from './allowance.ts';
import { type RegisterRequest, readRequest } from './request.ts';
import { checkPassword, checkUsername } from './rules.ts';

const NS = 'jabber:iq:register';
const NS_FEATURE = 'http://jabber.org/features/iq-register';
const NS_CLIENT = 'jabber:client';

/** What an account costs of an allowance, and what an attempt that fails. */
const COST = { account: 10, attempt: 1 } as const;
/** Names that mail would reach (RFC 2142) or that look like those who run the host. */
const RESERVED = [
  'abuse',
  'admin',
  'administrator',
  'hostmaster',
  'noc',
  'postmaster',
  'root',
  'security',
  'support',
  'webmaster',
  'xmpp',
];

export default defineModule({
  name: 'register',
  doc: 'In-band registration: lets anybody make an account; users change their password and remove their account.',
  xeps: [{ xep: 77, version: '2.4' }],
  features: [NS],
  config: option.object({
    accounts: option.boolean({ default: true, doc: 'Whether new accounts can be made.' }),
    removal: option.boolean({ default: true, doc: 'Whether users can remove their account.' }),
    passwordChange: option.boolean({ default: true, doc: 'Whether users can change their password.' }),
    instructions: option.string({
      default: 'Choose a username and a password.',
      maxLength: 1024,
      doc: 'What clients show above the form.',
    }),
    perAddress: option.integer({
      default: 5,
      min: 1,
      doc: 'Accounts one address may make within the period; for IPv6 the /64 counts.',
    }),
    period: option.duration({
      default: '1h',
      min: '1m',
      max: '30d',
      doc: 'The time in which the accounts of an address are counted.',
    }),
    loopbackUnlimited: option.boolean({ default: false, doc: 'No such limit for this machine. Not behind a proxy.' }),
    minUsername: option.integer({ default: 1, min: 1, max: 64, doc: 'Characters a username has at least.' }),
    maxUsername: option.integer({ default: 64, min: 1, max: 1023, doc: 'Characters a username has at most.' }),
    minPassword: option.integer({ default: 6, min: 1, max: 128, doc: 'Characters a password has at least.' }),
    reserved: option.list(
      option.checked((text) => Jid.prepareLocal(text), { doc: 'A username.', expected: 'a username' }),
      {
        default: RESERVED,
        doc: 'Usernames that nobody can take.',
      },
    ),
  }),

  setup({ accounts, config, domain, hooks, iq, keep, log, on }) {
    const host = Jid.of('', domain);
    const addresses = keep('addresses', () => new Allowance()).configure(config.perAddress * COST.account, config.period);
    const passwords = keep('passwords', () => new Allowance()).configure(COST.account, 600_000);
    /** Streams over which an account was made: one is enough for each. */
    const done = new WeakSet<C2sStream>();

    on(hooks.streamFeatures, offer, Priority.serve);
    on(hooks.streamElement, takeEarly, Priority.serve);
    iq.get('server', NS, 'query', show);
    iq.get('self', NS, 'query', show);
    iq.set('server', NS, 'query', change);
    iq.set('self', NS, 'query', change);

    function offer({ stream, features }: FeaturesOffer): void {
      if (config.accounts && stream.username === undefined && isSafe(stream)) features.push(xml('register', NS_FEATURE));
    }

    /** Before login. What is not for us is left to the core, which ends the stream. */
    function takeEarly({ stream, element }: StreamElement): Verdict | Promise<Verdict> {
      if (stream.username !== undefined || element.name !== 'iq' || element.xmlns !== NS_CLIENT) return;
      if (!config.accounts || !isSafe(stream) || !element.has('query', NS)) return;
      if (element.to !== undefined && Jid.tryParse(element.to)?.full !== domain) return;
      return answerEarly(stream, element).then(() => HANDLED);
    }

    async function answerEarly(stream: C2sStream, iq: Stanza): Promise<void> {
      const env = new Envelope(iq.with({ from: undefined, to: undefined }), host, host, nobody);
      try {
        const payload = await serveEarly(stream, iq);
        stream.sendStanza(resultOf(env, payload).with({ from: domain, to: undefined }));
      } catch (error) {
        if (!(error instanceof StanzaError)) throw error;
        const reply = errorOf(env, error);
        if (reply) stream.sendStanza(reply.with({ from: domain, to: undefined }));
      }
    }

    async function serveEarly(stream: C2sStream, iq: Stanza): Promise<Element | undefined> {
      if (iq.id === undefined || iq.childCount !== 1) throw new StanzaError('bad-request');
      if (iq.type === 'get')
        return xml('query', NS, xml('instructions', {}, config.instructions), xml('username'), xml('password'));
      if (iq.type !== 'set') throw new StanzaError('bad-request');
      const request = readRequest(iq.child('query', NS)!);
      // XEP-0077 section 3.2: who is nobody yet has nothing to remove.
      if (request.wantsRemoval) throw new StanzaError('unexpected-request');
      await create(stream, request);
    }

    async function create(stream: C2sStream, request: RegisterRequest): Promise<void> {
      if (done.has(stream)) throw new StanzaError('not-acceptable', { text: 'One account is enough' });
      const username = checkUsername(request.username, config);
      const password = checkPassword(request.password, config.minPassword);
      const { transport } = stream;
      const address = neighbourhood(transport.remoteAddress);
      const isLimited = !(config.loopbackUnlimited && transport.loopback);
      if (isLimited && !addresses.spend(address, COST.account)) {
        log.warn('too many registrations from one address', { address: transport.remoteAddress });
        // XEP-0077 section 3.1.1 names the condition.
        throw new StanzaError('not-acceptable', { type: 'wait', text: 'Too many accounts were made from your address' });
      }
      try {
        // Asked first, since keys cost a hundred times more work than this answer.
        if (await accounts.exists(username)) throw new StanzaError('conflict');
        await accounts.create(username, password);
      } catch (error) {
        if (isLimited) addresses.giveBack(address, COST.account - COST.attempt);
        throw error;
      }
      done.add(stream);
      log.info('an account was made', { username, address: transport.remoteAddress });
    }

    function show({ from, env }: Query): Element {
      refuseGuests(env);
      if (from.domain !== domain || from.local === '') throw new StanzaError('service-unavailable');
      return xml('query', NS, xml('registered'), xml('username', {}, from.local), xml('password'));
    }

    function change(query: Query): Promise<void> {
      const { from, payload, env } = query;
      if (from.domain !== domain || from.local === '') throw new StanzaError('registration-required');
      refuseGuests(env);
      const request = readRequest(payload);
      if (request.wantsRemoval) return remove(env);
      const { username } = request;
      if (username === undefined) throw new StanzaError('bad-request', { text: 'A username is needed' });
      // Accounts are made before login only; another name could only mean that.
      if (username !== from.bare && prepare(username) !== from.local) throw new StanzaError('not-allowed');
      return setPassword(env, request.password);
    }

    async function setPassword({ from, origin }: Envelope, wanted: string | undefined): Promise<void> {
      if (!config.passwordChange) throw new StanzaError('not-allowed');
      if (!isSession(origin) || !origin.stream || !isSafe(origin.stream))
        throw new StanzaError('not-authorized', { type: 'modify' });
      const password = checkPassword(wanted, config.minPassword);
      if (!passwords.spend(from.local, COST.attempt)) throw new StanzaError('resource-constraint', { text: 'Too many changes' });
      await accounts.setPassword(from.local, password);
      log.info('a password was changed', { username: from.local });
    }

    async function remove(env: Envelope): Promise<void> {
      const { from, origin } = env;
      if (!config.removal) throw new StanzaError('not-allowed');
      if (!isSession(origin)) throw new StanzaError('forbidden');
      // The others first: what they might still write would be found by whoever takes the name next. This one waits for us.
      closeOthers(origin, from.local);
      await accounts.delete(from.local);
      log.info('an account was removed by its user', { username: from.local });
      origin.send(resultOf(env, undefined));
      throw removed();
    }

    /** All streams of an account but one, bound or not. */
    function closeOthers(mine: Session, username: string): void {
      for (const stream of [...mine.server.streams]) {
        if (stream !== mine.stream && stream.host === mine.host && stream.username === username) stream.close(removed());
      }
    }
  },
});

/** Names and passwords are only said where nobody listens. */
function isSafe({ transport, host }: C2sStream): boolean {
  return transport.secure || (transport.loopback && host!.config.trustLoopback);
}

/** Anonymous clients have no account to ask about, to change or to remove (XEP-0175). */
function refuseGuests({ origin }: Envelope): void {
  if (isSession(origin) && origin.isAnonymous) throw new StanzaError('registration-required');
}

/** XEP-0077 section 3.2. */
function removed(): StreamError {
  return new StreamError('not-authorized', { text: 'The account was removed' });
}

function prepare(username: string): string {
  try {
    return Jid.prepareLocal(username);
  } catch {
    return '';
  }
}
