// Announcements of those who run the host: to whoever is online, to all accounts, or as a message of the day (XEP-0133 sections
// 4.23 to 4.26), by commands or by messages to addresses such as example.org/announce/online.
import {
  type Cache,
  defineModule,
  Envelope,
  HANDLED,
  Jid,
  type Maybe,
  mapStore,
  nobody,
  option,
  Priority,
  type Session,
  Stanza,
  StanzaError,
  sortableId,
  type Verdict,
  xml,
} from '#core';
import commands from '../commands/index.ts';
import { listCommands } from './commands.ts';

/** What is announced. */
export interface Notice {
  /** Empty when there is none. */
  readonly subject: string;
  readonly body: string;
}

/** A message of the day, as it is kept. Users' marks refer to its id. */
interface Motd extends Notice {
  readonly id: string;
}

/** What an administrator of a host can do. Promises resolve once it is durable. */
export interface Announcer {
  isAdmin(jid: Jid): boolean;
  /** To every client that is online. */
  toOnline(notice: Notice): Promise<void>;
  /** To every account; who is offline finds it later. Resolves when it is under way. */
  toAll(notice: Notice): Promise<void>;
  /** Keeps it for everybody's next login, and shows it at once to whoever is online. */
  setMotd(notice: Notice): Promise<void>;
  /** Keeps it for everybody's next login. */
  editMotd(notice: Notice): Promise<void>;
  deleteMotd(): Promise<void>;
  readonly motd: Notice | undefined;
}

/** What other modules get from this one. */
export interface AnnounceApi extends Pick<Announcer, 'toOnline'> {
  /** Throws StanzaError for what cannot be announced. */
  check(notice: Notice): void;
  /** To one account, as `toAll` does it, by a message of this id. Resolves once it is given or kept; rejects with StanzaError when refused. */
  toOne(username: string, notice: Notice, id: string): Promise<void>;
}

/** The hosts of this process that make announcements: what `all-hosts` in an address means. */
const everywhere = new Set<Announcer>();

/** Accounts that are written to before others have their turn. */
const BATCH = 50;

export default defineModule({
  name: 'announce',
  doc: 'Lets administrators write to everybody, and leave a message of the day.',
  xeps: [{ xep: 133, version: '1.3.1' }],
  wants: [commands],
  config: option.object({
    maxBytes: option.bytes({ default: '16KiB', min: 1, max: '128KiB', doc: 'Size of an announcement.' }),
  }),
  stores: {
    /** Of no owner: `motd`. */
    kept: mapStore<Motd>(),
    /** Of each user: the id of the last one shown. */
    shown: mapStore<string>(),
  },

  async setup({
    accounts,
    cache,
    config,
    defer,
    domain,
    hooks,
    isAdmin,
    log,
    on,
    router,
    signals,
    stopping,
    stores: { kept, shown },
    use,
  }): Promise<AnnounceApi> {
    const host = Jid.of('', domain);
    const marks: Cache<string> = cache('marks', async (user) => (await shown.get(user, 'motd')) ?? '');
    let motd = await kept.get('', 'motd');

    on(hooks.messageReceived, takeMessage, Priority.serve);
    on(signals.sessionAvailable, greet);

    const announcer: Announcer = {
      isAdmin,
      toOnline: (notice) => sendOnline(write(notice, 'headline')),
      async toAll(notice) {
        const stanza = write(notice, 'normal');
        const all = await accounts.list();
        void sendAll(stanza, all).catch((error: unknown) => log.error('an announcement was not sent to all', { error }));
      },
      async setMotd(notice) {
        await keep(notice);
        const stanza = write(notice, 'headline');
        const online = (await accounts.list()).filter(({ username }) => show(username, stanza));
        await Promise.all(online.map(({ username }) => mark(username)));
      },
      editMotd: keep,
      async deleteMotd() {
        await kept.update('', new Map([['motd', undefined]]));
        motd = undefined;
      },
      get motd() {
        return motd;
      },
    };
    const offered = use(commands);
    if (offered) for (const command of listCommands(announcer)) defer(offered.offer(command));
    everywhere.add(announcer);
    defer(() => void everywhere.delete(announcer));
    return {
      toOnline: announcer.toOnline,
      check: (notice) => void write(notice, 'normal'),
      toOne: async (username, notice, id) => sendOne(write(notice, 'normal').with({ id }), username),
    };

    function takeMessage({ stanza, from, to }: Envelope): Maybe<Verdict> {
      if (to.local !== '' || !to.resource.startsWith('announce/')) return;
      if (stanza.type === 'error') return HANDLED;
      if (!isAdmin(from)) throw new StanzaError('forbidden');
      const [scope, action] = readAddress(to.resource.slice('announce/'.length));
      const targets = scope === 'all' ? [...everywhere].filter((other) => other.isAdmin(from)) : [announcer];
      const notice = { subject: stanza.text('subject') ?? '', body: stanza.text('body') ?? '' };
      return Promise.all(targets.map((target) => act(target, action, notice))).then(() => HANDLED);
    }

    function write({ subject, body }: Notice, type: string): Stanza {
      if (body.trim() === '') throw new StanzaError('bad-request', { text: 'Nothing to announce' });
      if (Buffer.byteLength(subject + body) > config.maxBytes) throw new StanzaError('policy-violation', { text: 'Too long' });
      const children = [subject === '' ? undefined : xml('subject', {}, subject), xml('body', {}, body)];
      return Stanza.of(xml('message', { type, id: sortableId() }, ...children));
    }

    async function keep(notice: Notice): Promise<void> {
      write(notice, 'headline');
      const next = { subject: notice.subject, body: notice.body, id: sortableId() };
      await kept.update('', new Map([['motd', next]]));
      motd = next;
    }

    async function sendOnline(stanza: Stanza): Promise<void> {
      for (const { username } of await accounts.list()) show(username, stanza);
    }

    /** To all clients of an account that take messages; false when there are none. */
    function show(username: string, stanza: Stanza): boolean {
      let isShown = false;
      for (const resource of router.resources(Jid.of(username, domain).bare)) {
        if (resource.priority === undefined || resource.priority < 0) continue;
        resource.send(stanza.with({ from: domain, to: resource.jid.full }));
        isShown = true;
      }
      return isShown;
    }

    async function sendAll(stanza: Stanza, all: readonly { readonly username: string }[]): Promise<void> {
      for (let i = 0; i < all.length && !stopping.aborted; i += BATCH) {
        const batch = all.slice(i, i + BATCH).map(({ username }) => sendOne(stanza, username));
        // One that is refused (a full mailbox) keeps nothing from the others.
        await Promise.allSettled(batch);
        await new Promise((resolve) => setImmediate(resolve));
      }
    }

    async function sendOne(stanza: Stanza, username: string): Promise<void> {
      const to = Jid.of(username, domain);
      await router.route(new Envelope(stanza.with({ from: domain, to: to.bare }), host, to, nobody));
    }

    /** Shows the message of the day to a user who has not seen it, and remembers that. */
    async function greet(session: Session): Promise<void> {
      const { local, full } = session.jid;
      if (!motd || session.priority === undefined || session.priority < 0) return;
      await marks.get(local);
      // Looked at again, since another client of the same user may have been greeted meanwhile.
      if (!motd || session.isClosed || marks.get(local) === motd.id) return;
      session.send(write(motd, 'headline').with({ from: domain, to: full }));
      await mark(local);
    }

    async function mark(username: string): Promise<void> {
      if (!motd) return;
      const { id } = motd;
      // Before it is durable, so that a second client that logs in meanwhile does not get it again.
      marks.set(username, id);
      await shown.update(username, new Map([['motd', id]]));
    }
  },
});

type Action = 'online' | 'all' | 'motd' | 'motd/update' | 'motd/delete';
const ACTIONS: ReadonlySet<string> = new Set<Action>(['online', 'all', 'motd', 'motd/update', 'motd/delete']);

/** What an address means: `online`, `all-hosts/online`, `motd/all-hosts/update` ... */
function readAddress(path: string): readonly ['here' | 'all', Action] {
  const action = path.replace(/(^|\/)all-hosts(?=\/|$)/, '').replace(/^\//, '');
  if (!isAction(action)) throw new StanzaError('item-not-found');
  return [path === action ? 'here' : 'all', action];
}

function isAction(text: string): text is Action {
  return ACTIONS.has(text);
}

function act(announcer: Announcer, action: Action, notice: Notice): Promise<void> {
  switch (action) {
    case 'online':
      return announcer.toOnline(notice);
    case 'all':
      return announcer.toAll(notice);
    case 'motd':
      return announcer.setMotd(notice);
    case 'motd/update':
      return announcer.editMotd(notice);
    case 'motd/delete':
      return announcer.deleteMotd();
  }
}
