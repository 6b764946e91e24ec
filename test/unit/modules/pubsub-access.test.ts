import assert from 'node:assert/strict';
import type { Element } from 'ltx';
import blocking from '../../../modules/blocking/index.ts';
import caps from '../../../modules/caps/index.ts';
import disco from '../../../modules/disco/index.ts';
import pep from '../../../modules/pep/index.ts';
import presence from '../../../modules/presence/index.ts';
import pubsub from '../../../modules/pubsub/index.ts';
import roster from '../../../modules/roster/index.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { startHost, type TestHost } from '../../support/start-host.ts';

// Who may do what at a node: what XEP-0060 says (sections 4.1, 4.5, 6.1.3, 6.5.9, 7.1.3, 7.2.3 and 8), as a table, and every line of it tried
// at every kind of node, at the service and at an account.

const P = 'http://jabber.org/protocol/pubsub';
const ACCESS = ['open', 'presence', 'roster', 'authorize', 'whitelist'] as const;
const PUBLISH = ['publishers', 'subscribers', 'open'] as const;
type Access = (typeof ACCESS)[number];
type Publish = (typeof PUBLISH)[number];

/** What somebody is to the node and to its owner. */
interface Person {
  readonly affiliation?: 'member' | 'outcast' | 'owner' | 'publish-only' | 'publisher';
  /** Sees the owner's presence; in the group that the access model `roster` names. */
  readonly seesPresence?: boolean;
  readonly isInGroup?: boolean;
  readonly isSubscribed?: boolean;
  /** By the owner (XEP-0191): counts at the owner's account only. */
  readonly isBlocked?: boolean;
}

const PEOPLE: Readonly<Record<string, Person>> = {
  stranger: {},
  friend: { seesPresence: true },
  courtier: { seesPresence: true, isInGroup: true },
  stalker: { seesPresence: true, isInGroup: true, isBlocked: true },
  subscriber: { isSubscribed: true },
  member: { affiliation: 'member' },
  scribe: { affiliation: 'publish-only' },
  publisher: { affiliation: 'publisher' },
  banned: { affiliation: 'outcast', seesPresence: true, isInGroup: true },
  partner: { affiliation: 'owner' },
};

const FORBIDDEN = 'forbidden';

/** Section 6.5.9; undefined where it is allowed. */
function refusedToRead({ affiliation, seesPresence, isInGroup, isSubscribed }: Person, access: Access): string | undefined {
  if (affiliation === 'outcast' || affiliation === 'publish-only') return FORBIDDEN;
  if (affiliation) return undefined;
  switch (access) {
    case 'open':
      return undefined;
    case 'presence':
      return seesPresence ? undefined : 'not-authorized presence-subscription-required';
    case 'roster':
      return isInGroup ? undefined : 'not-authorized not-in-roster-group';
    case 'authorize':
      return isSubscribed ? undefined : 'not-authorized not-subscribed';
    case 'whitelist':
      return 'not-allowed closed-node';
  }
}

/** Section 6.1.3: as above, but that where an owner has to approve it anybody may ask. */
function refusedToSubscribe(person: Person, access: Access): string | undefined {
  return access === 'authorize' && person.affiliation === undefined ? undefined : refusedToRead(person, access);
}

/** Section 7.1.3.1. */
function refusedToPublish({ affiliation, isSubscribed }: Person, model: Publish): string | undefined {
  if (affiliation === 'outcast') return FORBIDDEN;
  if (affiliation === 'owner' || affiliation === 'publisher' || affiliation === 'publish-only') return undefined;
  return model === 'open' || (model === 'subscribers' && isSubscribed) ? undefined : FORBIDDEN;
}

/** Section 4.1: what others have published is changed and removed by publishers and owners. */
function refusedToEdit(person: Person, model: Publish): string | undefined {
  if (person.affiliation === 'owner' || person.affiliation === 'publisher') return undefined;
  return refusedToPublish(person, model) ?? FORBIDDEN;
}

/** Section 8. */
function refusedToManage({ affiliation }: Person): string | undefined {
  return affiliation === 'owner' ? undefined : FORBIDDEN;
}

/** What was answered: the conditions of an error; undefined for a result. */
function outcome(iq: Element): string | undefined {
  if (iq.attrs['type'] === 'result') return undefined;
  const children = iq.getChild('error')!.getChildElements();
  const own = children.find((child) => child.getNS() === `${P}#errors`);
  return [children[0]!.name, own?.name].filter((name) => name !== undefined).join(' ');
}

for (const place of ['service', 'account'] as const) {
  describe(`pubsub: who may do what, at ${place === 'service' ? 'the service' : 'an account'}`, function () {
    this.timeout(60_000);
    const to = place === 'service' ? 'pubsub.example.org' : 'owner@example.org';
    const people = new Map<string, Probe>();
    let host: TestHost;
    let owner: Probe;
    let cases = 0;

    before(async () => {
      host = await startHost([roster, presence, blocking, disco, caps, pubsub, pep]);
      owner = await host.online('owner', 'desk');
      for (const [name, { seesPresence, isInGroup, isBlocked }] of Object.entries(PEOPLE)) {
        const probe = await host.login(name, 'x');
        people.set(name, probe);
        const group = isInGroup ? '<group>Court</group>' : '<group>Others</group>';
        await owner.ask(
          `<iq type='set'><query xmlns='jabber:iq:roster'><item jid='${name}@example.org'>${group}</item></query></iq>`,
        );
        if (seesPresence) {
          probe.send("<presence to='owner@example.org' type='subscribe'/>");
          await settle();
          owner.send(`<presence to='${name}@example.org' type='subscribed'/>`);
          await settle();
        }
        if (isBlocked)
          await owner.ask(`<iq type='set'><block xmlns='urn:xmpp:blocking'><item jid='${name}@example.org'/></block></iq>`);
      }
    });

    after(async () => {
      await host.stop();
      assert(cases > 1500, `${cases} were tried`);
    });

    const user = (type: 'get' | 'set', inner: string) =>
      `<iq type='${type}' to='${to}'><pubsub xmlns='${P}'>${inner}</pubsub></iq>`;
    const manage = (type: 'get' | 'set', inner: string) => user(type, inner).replace(`'${P}'`, `'${P}#owner'`);
    const publish = (node: string, id: string) =>
      user('set', `<publish node='${node}'><item id='${id}'><x xmlns='urn:x'/></item></publish>`);
    const retract = (node: string, id: string) => user('set', `<retract node='${node}'><item id='${id}'/></retract>`);
    const form = (fields: Readonly<Record<string, string>>) => {
      const written = Object.entries(fields).map(
        ([name, value]) => `<field var='pubsub#${name}'><value>${value}</value></field>`,
      );
      return `<x xmlns='jabber:x:data' type='submit'>${written.join('')}</x>`;
    };

    /** A node as it is wanted, with everybody what they are to it. */
    async function make(node: string, access: Access, model: Publish): Promise<void> {
      const good = async (iq: string, by = owner) => assert.equal(outcome(await by.ask(iq)), undefined, iq);
      await good(
        user('set', `<create node='${node}'/><configure>${form({ access_model: 'open', max_items: 'max' })}</configure>`),
      );
      for (const [name, { isSubscribed }] of Object.entries(PEOPLE)) {
        if (isSubscribed) await good(user('set', `<subscribe node='${node}' jid='${name}@example.org'/>`), people.get(name)!);
      }
      const affiliations = Object.entries(PEOPLE).filter(([, { affiliation }]) => affiliation);
      const written = affiliations.map(
        ([name, { affiliation }]) => `<affiliation jid='${name}@example.org' affiliation='${affiliation}'/>`,
      );
      await good(manage('set', `<affiliations node='${node}'>${written.join('')}</affiliations>`));
      const config = form({ access_model: access, publish_model: model, roster_groups_allowed: 'Court' });
      await good(manage('set', `<configure node='${node}'>${config}</configure>`));
      await good(publish(node, 'base'));
    }

    if (place === 'account') {
      it('whoever is blocked hears nothing of what they had subscribed to', async () => {
        const [friend, stalker] = [people.get('friend')!, people.get('stalker')!];
        const block = (name: string) =>
          `<iq type='set'><${name} xmlns='urn:xmpp:blocking'><item jid='stalker@example.org'/></${name}></iq>`;
        await owner.ask(user('set', `<create node='news'/><configure>${form({ access_model: 'open' })}</configure>`));
        await owner.ask(block('unblock'));
        for (const probe of [friend, stalker]) {
          const jid = probe.jid.split('/')[0];
          assert.equal(outcome(await probe.ask(user('set', `<subscribe node='news' jid='${jid}'/>`))), undefined);
          probe.send('<presence/>');
        }
        await owner.ask(block('block'));
        for (const probe of [friend, stalker]) probe.take();
        await owner.ask(publish('news', 'one'));
        await settle();
        const heard = [friend, stalker].map((probe) => probe.take().filter((stanza) => String(stanza).includes('#event')).length);
        assert.deepEqual(heard, [1, 0]);
        await owner.ask(manage('set', "<delete node='news'/>"));
      });
    }

    for (const access of ACCESS) {
      for (const model of PUBLISH) {
        it(`access ${access}, publishing by ${model}`, async () => {
          const node = `${access}-${model}`;
          await make(node, access, model);
          for (const [name, person] of Object.entries(PEOPLE)) {
            const probe = people.get(name)!;
            const isKept = place === 'account' && person.isBlocked === true;
            const tried = async (iq: string, refusal: string | undefined) => {
              cases++;
              assert.equal(outcome(await probe.ask(iq)), isKept ? 'service-unavailable' : refusal, `${name}: ${iq}`);
            };
            const reading = refusedToRead(person, access);
            await tried(user('get', `<items node='${node}'/>`), reading);
            await tried(user('get', `<items node='${node}' max_items='1'/>`), reading);
            await tried(user('get', `<items node='${node}'><item id='base'/></items>`), reading);
            const publishing = refusedToPublish(person, model);
            await tried(publish(node, name), publishing);
            await tried(publish(node, name), publishing);
            await tried(publish(node, 'base'), refusedToEdit(person, model));
            if (!publishing && !isKept) await tried(retract(node, name), undefined);
            await tried(retract(node, 'base'), refusedToEdit(person, model));
            await owner.ask(publish(node, 'base'));
            for (const iq of [
              manage('get', `<configure node='${node}'/>`),
              manage('set', `<configure node='${node}'>${form({ title: 'x' })}</configure>`),
              manage('get', `<affiliations node='${node}'/>`),
              manage(
                'set',
                `<affiliations node='${node}'><affiliation jid='nobody@example.org' affiliation='member'/></affiliations>`,
              ),
              manage('get', `<subscriptions node='${node}'/>`),
              manage('set', `<subscriptions node='${node}'/>`),
            ]) {
              await tried(iq, refusedToManage(person));
            }
            if (person.affiliation !== 'owner') {
              await tried(manage('set', `<purge node='${node}'/>`), FORBIDDEN);
              await tried(manage('set', `<delete node='${node}'/>`), FORBIDDEN);
            }
            await tried(user('set', `<subscribe node='${node}' jid='owner@example.org'/>`), 'bad-request invalid-jid');
            await tried(user('set', `<unsubscribe node='${node}' jid='owner@example.org'/>`), FORBIDDEN);
            if (person.isSubscribed) continue;
            await tried(user('set', `<subscribe node='${node}' jid='${name}@example.org'/>`), refusedToSubscribe(person, access));
          }
          const { length } = (await owner.ask(user('get', `<items node='${node}'/>`)))
            .getChild('pubsub', P)!
            .getChild('items')!.children;
          assert.equal(length, 1, 'nothing else is there');
        });
      }
    }
  });
}
