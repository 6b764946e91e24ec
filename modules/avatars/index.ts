// XEP-0398: one picture for each account, whether clients know it from its nodes (XEP-0084) or from its vCard (XEP-0153), and which one it
// is in every presence. It is the last one that was set, on either side.
import {
  defineModule,
  type Envelope,
  isGuestName,
  isSession,
  Jid,
  type Maybe,
  mapStore,
  option,
  Priority,
  type Session,
  type Stanza,
} from '#core';
import pep from '../pep/index.ts';
import presence from '../presence/index.ts';
import type { Configured, Published, Retracted } from '../pubsub/index.ts';
import { InStep } from '../vcard/in-step.ts';
import vcard from '../vcard/index.ts';
import { pictureIn } from './card.ts';
import { Conversion } from './conversion.ts';
import { DATA, METADATA, readAvatar, readIds } from './nodes.ts';
import { isHash, NS_UPDATE, SAYS, stamp } from './stamp.ts';

const NS = 'urn:xmpp:pep-vcard-conversion:0';
const NAME = 'avatars';
/** Accounts of which it is remembered which picture they have. */
const CACHED = 100_000;

/** Where a picture was set. */
type Side = 'card' | 'nodes';

export default defineModule({
  name: NAME,
  doc: 'Avatars: the same picture for clients that look into the vCard and those that do not, and its hash in presence.',
  xeps: [
    { xep: 84, version: '1.1.4' },
    { xep: 153, version: '1.1.1' },
    { xep: 398, version: '1.0.0' },
  ],
  needs: [pep, vcard],
  wants: [presence],
  config: option.object({
    renewPresence: option.boolean({
      default: true,
      doc: 'Whether contacts are sent the presence of an account once more when its picture has changed. Otherwise the next one tells.',
    }),
  }),
  /** Of each account: `says`, which is what its presence says of its picture (see stamp.ts). */
  stores: { said: mapStore<string>() },

  setup({ accounts, cache, config, defer, disco, domain, hooks, log, on, router, signals, slot, stores: { said }, use }) {
    const nodes = use(pep);
    const cards = use(vcard);
    const announcer = use(presence);
    const { shop } = nodes.counter;
    const pictures = cache('pictures', load, CACHED);
    /** Whether the hash in a client's broadcast presence is the server's. */
    const ours = slot(() => false, { write: Boolean, read: Boolean });
    const steps = new InStep<Side>({ log, follow });
    const conversion = new Conversion({ nodes, cards, steps, by: NAME });

    disco.feature('registered', NS);
    on(hooks.presenceSent, put, Priority.amend);
    on(cards.changed, ({ username, by }) => {
      if (by !== NAME) note(username, 'card');
    });
    on(shop.published, notePublished);
    on(shop.retracted, noteRetracted);
    on(shop.configured, noteConfigured);
    on(signals.accountDeleted, ({ username }) => steps.forget(username));
    defer(() => steps.stop());

    /** What was set before this module was on is put where it is missing; so is what was not before the server was killed. */
    async function load(username: string): Promise<string> {
      const known = await said.get(username, 'says');
      if (known !== undefined) {
        const ids = await readIds(nodes, username);
        if (isHash(known) && ids.length > 0 && !ids.includes(known)) note(username, 'nodes');
        return known;
      }
      const picture = pictureIn(await cards.of(username));
      const { is } = await readAvatar(nodes, username);
      if (picture && is === 'none') note(username, 'card');
      if (!picture && is === 'shown') note(username, 'nodes');
      return picture?.hash ?? SAYS.nothing;
    }

    // ---- Presence

    function put(env: Envelope): Maybe<void> {
      const { stanza, origin, from } = env;
      if (stanza.type !== undefined || !isSession(origin) || origin.isAnonymous) return;
      const says = pictures.get(from.local);
      if (says instanceof Promise) {
        const fail = (error: unknown) =>
          log.error('it is not known which picture an account has', { username: from.local, error });
        return says.then((known) => putInto(env, origin, known), fail);
      }
      putInto(env, origin, says);
    }

    function putInto(env: Envelope, session: Session, says: string): void {
      const { stanza } = env;
      const isBroadcast = stanza.to === undefined;
      const stamped = stamp(stanza, says, false);
      if (isBroadcast) keep(session, stamped, stamped !== stanza);
      env.stanza = stamped;
    }

    /** Others are sent the session's presence later on. */
    function keep(session: Session, stamped: Stanza, isOurs: boolean): void {
      if (session.presence !== undefined) session.presence = stamped;
      if (isOurs || ours.peek(session)) ours.set(session, isOurs);
    }

    /** From now on presence says this; what was sent already is sent anew. */
    async function say(username: string, says: string): Promise<void> {
      if ((await pictures.get(username)) === says) return;
      await said.update(username, new Map([['says', says]]));
      pictures.set(username, says);
      for (const client of router.resources(Jid.of(username, domain).bare)) {
        if (isSession(client)) renew(client, says);
      }
    }

    function renew(session: Session, says: string): void {
      const before = session.presence;
      if (!before) return;
      const stamped = stamp(before, says, ours.peek(session) === true);
      if (stamped === before) return;
      keep(session, stamped, stamped.has('x', NS_UPDATE));
      if (!config.renewPresence) return;
      const told = announcer?.renew(session);
      if (told) told.catch((error: unknown) => log.error('contacts were not told of a picture', { error }));
    }

    // ---- Changes

    function note(username: string, side: Side): void {
      if (!isGuestName(username)) steps.note(username, side);
    }

    function notePublished({ place, node, by, items }: Published): Maybe<void> {
      const { local } = place.jid;
      if (steps.isOwn(local, by)) return;
      if (node === METADATA) note(local, 'nodes');
      if (node === DATA) return noteIf(local, (ids) => items.some(({ id }) => ids.includes(id)));
    }

    function noteRetracted({ place, node, by }: Retracted): void {
      const { local } = place.jid;
      if (node === METADATA && !steps.isOwn(local, by)) note(local, 'nodes');
    }

    /** Whoever lets other people see their picture, or no longer, means what is in the vCard, too. */
    function noteConfigured({ place, node, before, now }: Configured): Maybe<void> {
      if (node === DATA && before.accessModel !== now.accessModel) return noteIf(place.jid.local, (ids) => ids.length > 0);
    }

    async function noteIf(username: string, isMeant: (ids: readonly string[]) => boolean): Promise<void> {
      if (isMeant(await readIds(nodes, username))) note(username, 'nodes');
    }

    async function follow(username: string, side: Side): Promise<void> {
      if (!(await accounts.exists(username))) return;
      const before = await pictures.get(username);
      const says = await (side === 'card' ? conversion.followCard(username, before) : conversion.followNodes(username, before));
      if (!steps.isBehind(username)) await say(username, says);
    }
  },
});
