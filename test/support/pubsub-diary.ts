import assert from 'node:assert/strict';
import type { Element } from 'ltx';
import caps from '../../modules/caps/index.ts';
import disco from '../../modules/disco/index.ts';
import pep from '../../modules/pep/index.ts';
import presence from '../../modules/presence/index.ts';
import pubsub from '../../modules/pubsub/index.ts';
import roster from '../../modules/roster/index.ts';
import { type Probe, settle } from './probe.ts';
import { NS, outcomeOf } from './pubsub-people.ts';
import type { Whereabouts } from './pubsub-rules.ts';
import { form } from './pubsub-scene.ts';
import { startHost, type TestHost } from './start-host.ts';

/** A node that is somebody's own: `diary`, with three items, a member, somebody who waits to be approved, and somebody who is banned. */
export class Diary {
  readonly host: TestHost;
  readonly owner: Probe;
  readonly member: Probe;
  /** Where it is. */
  readonly to: string;

  private constructor(host: TestHost, people: { owner: Probe; member: Probe }, to: string) {
    this.host = host;
    this.owner = people.owner;
    this.member = people.member;
    this.to = to;
  }

  static async open(at: Whereabouts): Promise<Diary> {
    const host = await startHost([roster, presence, disco, caps, pubsub, pep]);
    const [owner, member, reader] = [
      await host.online('owner', 'desk'),
      await host.online('member', 'x'),
      await host.online('reader', 'x'),
    ];
    const diary = new Diary(host, { owner, member }, at === 'account' ? 'owner@example.org' : 'pubsub.example.org');
    const good = async (probe: Probe, inner: string, ns = '') =>
      assert.equal(outcomeOf(await diary.ask(probe, 'set', inner, ns)), 'ok', inner);
    const config = form('node_config', { access_model: 'authorize', max_items: '10', max_payload_size: '1024', title: 'Diary' });
    await good(owner, `<create node='diary'/><configure>${config}</configure>`);
    await good(reader, "<subscribe node='diary' jid='reader@example.org'/>");
    for (const id of ['1', '2', '3'])
      await good(owner, `<publish node='diary'><item id='${id}'><x xmlns='urn:x'>Day ${id}</x></item></publish>`);
    await good(
      owner,
      "<affiliations node='diary'><affiliation jid='member@example.org' affiliation='member'/>" +
        "<affiliation jid='banned@example.org' affiliation='outcast'/></affiliations>",
      '#owner',
    );
    await good(member, "<subscribe node='diary' jid='member@example.org'/>");
    await settle();
    for (const probe of [owner, member, reader]) probe.take();
    return diary;
  }

  stop(): Promise<void> {
    return this.host.stop();
  }

  iq(type: 'get' | 'set', inner: string, ns = ''): string {
    return `<iq type='${type}' to='${this.to}'><pubsub xmlns='${NS}${ns}'>${inner}</pubsub></iq>`;
  }

  ask(probe: Probe, type: 'get' | 'set', inner: string, ns = ''): Promise<Element> {
    return probe.ask(this.iq(type, inner, ns));
  }

  /** All there is to know of it, as its owner sees it. */
  async read(): Promise<string> {
    const answers = [
      await this.ask(this.owner, 'get', "<items node='diary'/>"),
      await this.ask(this.owner, 'get', "<configure node='diary'/>", '#owner'),
      await this.ask(this.owner, 'get', "<affiliations node='diary'/>", '#owner'),
      await this.ask(this.owner, 'get', "<subscriptions node='diary'/>", '#owner'),
      await this.owner.ask(`<iq type='get' to='${this.to}'><query xmlns='http://jabber.org/protocol/disco#items'/></iq>`),
    ];
    return answers
      .map((answer) => {
        assert.equal(outcomeOf(answer), 'ok');
        return String(answer.getChildElements()[0]);
      })
      .join('\n');
  }
}
