// Who may do something to whom: XEP-0045 sections 5.1.3, 5.2.2, 8.2 to 8.4, 9.1 and 9.6 to 10.8, each by each.
import assert from 'node:assert/strict';
import { type Affiliation, isAffiliated, type Role } from '../../../modules/muc/index.ts';
import { settle } from '../../support/probe.ts';
import { change, codesIn, errorIn, itemIn, RoomScene, SERVICE } from '../../support/room-scene.ts';
import { OUTCOMES } from '../../support/room-standings.ts';

interface Person {
  readonly affiliation: Affiliation;
  readonly role: Role;
}

const ACTORS = {
  moderator: { affiliation: 'none', role: 'moderator' },
  'member as moderator': { affiliation: 'member', role: 'moderator' },
  admin: { affiliation: 'admin', role: 'moderator' },
  owner: { affiliation: 'owner', role: 'moderator' },
} as const satisfies Record<string, Person>;

const VICTIMS = {
  visitor: { affiliation: 'none', role: 'visitor' },
  participant: { affiliation: 'none', role: 'participant' },
  moderator: { affiliation: 'none', role: 'moderator' },
  member: { affiliation: 'member', role: 'participant' },
  'member as moderator': { affiliation: 'member', role: 'moderator' },
  admin: { affiliation: 'admin', role: 'moderator' },
  owner: { affiliation: 'owner', role: 'moderator' },
} as const satisfies Record<string, Person>;

type Actor = keyof typeof ACTORS;
type Victim = keyof typeof VICTIMS;
const VICTIM_NAMES = Object.keys(VICTIMS) as readonly Victim[];

/** What is tried: the attributes of the item, and for each actor what comes of it for each of VICTIMS (see OUTCOMES). */
const DEEDS: readonly { readonly name: string; readonly attrs: string; readonly rows: Readonly<Record<Actor, string>> }[] = [
  {
    // Section 8.2: never by somebody of a lower affiliation; section 5.1.3: a moderator only by an admin or owner.
    name: 'kicks',
    attrs: "nick='victim' role='none'",
    rows: {
      //                     vis par mod mem memM adm own
      moderator: '           +   +   n   n   n    n   n',
      'member as moderator': '+  +   n   +   n    n   n',
      admin: '               +   +   +   +   +    +   n',
      owner: '               +   +   +   +   +    +   +',
    },
  },
  {
    // Section 8.4: from nobody of a higher affiliation, and by nobody from admins and owners.
    name: 'takes voice from',
    attrs: "nick='victim' role='visitor'",
    rows: {
      moderator: '           +   +   .   n   .    .   .',
      'member as moderator': '+  +   .   .   .    .   .',
      admin: '               +   +   +   +   +    n   n',
      owner: '               +   +   +   +   +    n   n',
    },
  },
  {
    // Sections 9.6 to 9.8: by admins and owners, but from none of these.
    name: 'takes moderator status from',
    attrs: "nick='victim' role='participant'",
    rows: {
      moderator: '           +   +   f   +   f    f   f',
      'member as moderator': '+  +   f   +   f    f   f',
      admin: '               +   +   +   +   +    n   n',
      owner: '               +   +   +   +   +    n   n',
    },
  },
  {
    name: 'gives moderator status to',
    attrs: "nick='victim' role='moderator'",
    rows: {
      moderator: '           f   f   .   f   .    .   .',
      'member as moderator': 'f  f   .   f   .    .   .',
      admin: '               +   +   +   +   +    +   +',
      owner: '               +   +   +   +   +    +   +',
    },
  },
  {
    // Sections 9 and 9.1.
    name: 'bans',
    attrs: "jid='victim@example.org' affiliation='outcast'",
    rows: {
      moderator: '           f   f   f   f   f    f   f',
      'member as moderator': 'f  f   f   f   f    f   f',
      admin: '               +   +   +   +   +    n   n',
      owner: '               +   +   +   +   +    +   +',
    },
  },
  {
    name: 'takes all from',
    attrs: "jid='victim@example.org' affiliation='none'",
    rows: {
      moderator: '           f   f   f   f   f    f   f',
      'member as moderator': 'f  f   f   f   f    f   f',
      admin: '               +   +   +   +   +    f   f',
      owner: '               +   +   +   +   +    +   +',
    },
  },
  {
    name: 'gives membership to',
    attrs: "jid='victim@example.org' affiliation='member'",
    rows: {
      moderator: '           f   f   f   f   f    f   f',
      'member as moderator': 'f  f   f   f   f    f   f',
      admin: '               +   +   +   +   +    f   f',
      owner: '               +   +   +   +   +    +   +',
    },
  },
  {
    name: 'makes an admin of',
    attrs: "jid='victim@example.org' affiliation='admin'",
    rows: {
      moderator: '           f   f   f   f   f    f   f',
      'member as moderator': 'f  f   f   f   f    f   f',
      admin: '               f   f   f   f   f    f   f',
      owner: '               +   +   +   +   +    +   +',
    },
  },
  {
    name: 'makes an owner of',
    attrs: "jid='victim@example.org' affiliation='owner'",
    rows: {
      moderator: '           f   f   f   f   f    f   f',
      'member as moderator': 'f  f   f   f   f    f   f',
      admin: '               f   f   f   f   f    f   f',
      owner: '               +   +   +   +   +    +   +',
    },
  },
];

describe('muc: who may do something to whom', () => {
  let scene: RoomScene;
  let rooms = 0;

  before(async () => {
    scene = await RoomScene.start();
  });
  after(() => scene.stop());

  /** A room with these two in it, and somebody who looks on. */
  async function arrange(actor: Person, victim: Person) {
    const name = `room${++rooms}`;
    const people = { actor: actor.affiliation, victim: victim.affiliation };
    const room = await scene.room({ name, people });
    const address = `${name}@${SERVICE}`;
    const [doer, sufferer, witness] = [await scene.client('actor'), await scene.client('victim'), await scene.client('witness')];
    for (const probe of [doer, sufferer, witness]) await scene.enter(probe, { room: address });
    scene.assign(room, 'actor', actor.role);
    scene.assign(room, 'victim', victim.role);
    await scene.hush(doer, sufferer, witness);
    return { room, address, doer, sufferer, witness };
  }

  /** Does it; whoever is refused has changed nothing, and nobody has heard of it. */
  async function attempt(actor: Actor, victim: Victim, attrs: string): Promise<string> {
    const { room, address, doer, sufferer, witness } = await arrange(ACTORS[actor], VICTIMS[victim]);
    const outcome = errorIn(await doer.ask(change(`<item ${attrs}><reason>Because</reason></item>`, address))) ?? 'allowed';
    await settle();
    const jid = scene.host.jid('victim@example.org/desk');
    const heard = witness.take();
    if (outcome === 'allowed') {
      const wanted = /(role|affiliation)='(\w+)'/.exec(attrs)!;
      const standing = room.standingOf(jid);
      assert.equal(wanted[1] === 'role' ? standing.role : standing.affiliation, wanted[2]);
      for (const item of heard.map(itemIn)) assert.equal(item['jid'], undefined, 'a real address in a semi-anonymous room');
    } else {
      assert.deepEqual(room.standingOf(jid), VICTIMS[victim]);
      assert.deepEqual([...heard, ...sufferer.take()].map(String), []);
    }
    await scene.rooms.destroy(room);
    await scene.hush(doer, sufferer, witness);
    return outcome;
  }

  for (const { name, attrs, rows } of DEEDS) {
    for (const actor of Object.keys(ACTORS) as readonly Actor[]) {
      it(`${actor} ${name}`, async () => {
        const wanted: Record<string, string> = {};
        const found: Record<string, string> = {};
        const letters = rows[actor].trim().split(/\s+/);
        assert.equal(letters.length, VICTIM_NAMES.length);
        for (const [at, victim] of VICTIM_NAMES.entries()) {
          const letter = letters[at]!;
          if (letter === '.') continue;
          wanted[victim] = OUTCOMES[letter]!;
          found[victim] = await attempt(actor, victim, attrs);
        }
        assert.deepEqual(found, wanted);
      });
    }
  }

  for (const by of ['admin', 'owner'] as const) {
    it(`${by} changes affiliations of those who are not there, as section 5.2.2 has it`, async () => {
      const all = ['outcast', 'none', 'member', 'admin', 'owner'] as const;
      const room = await scene.room({ name: `room${++rooms}`, people: { actor: by } });
      const doer = await scene.client('actor');
      for (const before of all) {
        for (const after of all) {
          await scene.rooms.affiliate(room, undefined, [{ jid: scene.host.jid('absent@example.org'), affiliation: before }]);
          const item = `<item jid='absent@example.org/phone' affiliation='${after}'/>`;
          const outcome = errorIn(await doer.ask(change(item, room.jid.bare)));
          const isForOwners = isAffiliated(before, 'admin') || isAffiliated(after, 'admin');
          const refusal = after === 'outcast' ? 'not-allowed/cancel' : 'forbidden/auth';
          assert.equal(outcome, by === 'admin' && isForOwners ? refusal : undefined, `${before} to ${after}`);
          assert.equal(room.members.get('absent@example.org')?.affiliation ?? 'none', outcome ? before : after);
        }
      }
      await scene.hush(doer);
    });
  }

  it('nobody bans themselves (section 9.1), not even among others', async () => {
    for (const actor of ['admin', 'owner'] as const) {
      const { room, address, doer, witness } = await arrange(ACTORS[actor], VICTIMS.visitor);
      const own = "<item jid='actor@example.org' affiliation='outcast'/>";
      assert.equal(errorIn(await doer.ask(change(own, address))), 'conflict/cancel');
      const both = `<item jid='victim@example.org' affiliation='outcast'/>${own}`;
      assert.equal(errorIn(await doer.ask(change(both, address))), 'conflict/cancel');
      assert.equal(room.affiliationOf(scene.host.jid('victim@example.org')), 'none');
      assert.deepEqual(witness.take().map(String), []);
      await scene.rooms.destroy(room);
      await scene.hush(doer, await scene.client('victim'), witness);
    }
  });

  it('moderators may kick themselves (section 8.2)', async () => {
    for (const actor of Object.values(ACTORS)) {
      const { room, address, doer, sufferer, witness } = await arrange(actor, VICTIMS.visitor);
      assert.equal(errorIn(await doer.ask(change("<item nick='actor' role='none'/>", address))), undefined);
      assert.deepEqual(room.occupants.named('actor'), []);
      assert.deepEqual(codesIn(witness.take()[0]), ['307']);
      await scene.rooms.destroy(room);
      await scene.hush(doer, sufferer, witness);
    }
  });

  it('others than moderators do not, but go', async () => {
    const { room, address, doer, sufferer, witness } = await arrange(
      { affiliation: 'member', role: 'participant' },
      VICTIMS.visitor,
    );
    assert.equal(errorIn(await doer.ask(change("<item nick='actor' role='none'/>", address))), 'forbidden/auth');
    assert.equal(room.occupants.named('actor').length, 1);
    await scene.rooms.destroy(room);
    await scene.hush(doer, sufferer, witness);
  });

  it('a list of changes is refused as a whole when one of them is (section 9.2)', async () => {
    const { room, address, doer, sufferer, witness } = await arrange(ACTORS.admin, VICTIMS.owner);
    for (const [items, error] of [
      ["<item jid='a@b' affiliation='member'/><item jid='victim@example.org' affiliation='outcast'/>", 'not-allowed/cancel'],
      ["<item jid='a@b' affiliation='member'/><item jid='c@d' affiliation='admin'/>", 'forbidden/auth'],
      ["<item nick='witness' role='none'/><item nick='victim' role='none'/>", 'not-allowed/cancel'],
      ["<item nick='witness' role='visitor'/><item nick='victim' role='visitor'/>", 'not-allowed/cancel'],
      ["<item nick='witness' role='none'/><item nick='nobody' role='none'/>", 'item-not-found/cancel'],
      ["<item nick='witness' role='none'/><item jid='a@b' affiliation='member'/>", 'bad-request/modify'],
      ["<item nick='witness' role='none' affiliation='none'/>", 'bad-request/modify'],
      ["<item jid='a@b' affiliation='member'/><item jid='a@b/c' affiliation='none'/>", 'bad-request/modify'],
      ["<item jid='a@b' affiliation='member'/><item jid='@' affiliation='member'/>", 'jid-malformed/modify'],
      ["<item jid='a@b' affiliation='member'/><item jid='c@d' affiliation='emperor'/>", 'bad-request/modify'],
      ["<item nick='witness' role='emperor'/>", 'bad-request/modify'],
      ["<item nick='witness' role=''/>", 'bad-request/modify'],
      ["<item jid='a@b' affiliation='member'/><item/>", 'bad-request/modify'],
      ['', 'bad-request/modify'],
    ] as const) {
      assert.equal(errorIn(await doer.ask(change(items, address))), error, items);
    }
    assert.deepEqual([...room.members.keys()].sort(), ['actor@example.org', 'keeper@example.org', 'victim@example.org']);
    assert.deepEqual([...sufferer.take(), ...witness.take()].map(String), []);
    await scene.rooms.destroy(room);
    await scene.hush(doer, sufferer, witness);
  });

  it('those who are shown out learn it, and by whom, and so do the others (sections 8.2 and 9.1)', async () => {
    for (const [attrs, code] of [
      ["nick='victim' role='none'", '307'],
      ["jid='victim@example.org' affiliation='outcast'", '301'],
    ] as const) {
      const { room, address, doer, sufferer, witness } = await arrange(ACTORS.owner, VICTIMS.member);
      await doer.ask(change(`<item ${attrs}><reason>Because</reason></item>`, address));
      const [own] = sufferer.take();
      const [other] = witness.take();
      assert.deepEqual(codesIn(own), ['110', code]);
      assert.deepEqual(codesIn(other), [code]);
      for (const notice of [own!, other!]) {
        assert.equal(notice.attrs['type'], 'unavailable');
        assert.equal(notice.attrs['from'], `${address}/victim`);
        const item = notice.getChild('x')!.getChild('item')!;
        assert.equal(item.attrs['role'], 'none');
        assert.equal(item.attrs['affiliation'], code === '301' ? 'outcast' : 'member');
        assert.equal(item.getChildText('reason'), 'Because');
        assert.equal(item.getChild('actor')?.attrs['nick'], 'actor');
      }
      await scene.rooms.destroy(room);
      await scene.hush(doer, sufferer, witness);
    }
  });

  for (const [allowed, mayWrite] of [
    ['anyone', ['visitor', 'participant', 'moderator']],
    ['participants', ['participant', 'moderator']],
    ['moderators', ['moderator']],
    ['none', []],
  ] as const) {
    it(`private messages are for ${allowed} where the room says so (muc#roomconfig_allowpm)`, async () => {
      for (const role of ['visitor', 'participant', 'moderator'] as const) {
        const { room, address, doer, sufferer, witness } = await arrange({ affiliation: 'none', role }, VICTIMS.participant);
        await scene.rooms.configure(room, { ...room.settings, privateMessages: allowed });
        await scene.hush(doer, sufferer, witness);
        doer.send(`<message type='chat' to='${address}/victim'><body>Psst</body></message>`);
        await settle();
        const may = (mayWrite as readonly Role[]).includes(role);
        assert.equal(errorIn(doer.take()[0]), may ? undefined : 'forbidden/auth', role);
        assert.equal(sufferer.take().length, may ? 1 : 0, role);
        assert.deepEqual(witness.take().map(String), []);
        await scene.rooms.destroy(room);
        await scene.hush(doer, sufferer, witness);
      }
    });
  }
});
