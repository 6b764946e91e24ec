import assert from 'node:assert/strict';
import { fold } from '../../../modules/muc/nick.ts';
import { Occupant, Occupants } from '../../../modules/muc/occupant.ts';
import {
  AFFILIATIONS,
  type Affiliation,
  mayAffiliate,
  mayChangeRole,
  ROLES,
  type Role,
  roleOnEntry,
} from '../../../modules/muc/ranks.ts';
import { Jid } from '../../../src/jid.ts';
import { Stanza } from '../../../src/xml/stanza.ts';

describe('muc: roles and affiliations', () => {
  it('give the role on entry of XEP-0045 section 5.1.2', () => {
    const rows = AFFILIATIONS.filter((affiliation) => affiliation !== 'outcast').map((affiliation) => [
      affiliation,
      roleOnEntry(affiliation, true),
      roleOnEntry(affiliation, false),
    ]);
    assert.deepEqual(rows, [
      ['none', 'visitor', 'participant'],
      ['member', 'participant', 'participant'],
      ['admin', 'moderator', 'moderator'],
      ['owner', 'moderator', 'moderator'],
    ]);
  });

  it('are changed by those of section 5.2.2, and nobody else', () => {
    for (const before of AFFILIATIONS) {
      for (const after of AFFILIATIONS) {
        const by = AFFILIATIONS.filter((affiliation) => mayAffiliate(affiliation, before, after));
        const isForOwners = [before, after].some((each) => each === 'admin' || each === 'owner');
        assert.deepEqual(by, isForOwners ? ['owner'] : ['admin', 'owner'], `${before} to ${after}`);
      }
    }
  });

  /** Whether somebody may do it: by, of, before, after. */
  const may = (by: Affiliation, byRole: Role, of: Affiliation, before: Role, after: Role): boolean =>
    mayChangeRole({ affiliation: by, role: byRole }, { affiliation: of, role: before }, after);

  it('let only moderators change roles (section 5.1.3)', () => {
    for (const role of ROLES) assert.equal(may('none', role, 'none', 'participant', 'visitor'), role === 'moderator');
  });

  it('let moderators give and take voice, and show out', () => {
    for (const [before, after] of [
      ['visitor', 'participant'],
      ['participant', 'visitor'],
      ['participant', 'none'],
      ['visitor', 'none'],
    ] as const)
      assert.equal(may('none', 'moderator', 'none', before, after), true);
  });

  it('let only admins and owners make moderators, and unmake them', () => {
    for (const by of ['none', 'member', 'admin', 'owner'] as const) {
      const isAdmin = by === 'admin' || by === 'owner';
      assert.equal(may(by, 'moderator', 'none', 'participant', 'moderator'), isAdmin, by);
      assert.equal(may(by, 'moderator', 'none', 'moderator', 'participant'), isAdmin, by);
      assert.equal(may(by, 'moderator', 'none', 'moderator', 'none'), isAdmin, by);
    }
  });

  it('take nothing from those of a higher affiliation, nor voice from admins and owners (sections 8.2 and 8.4)', () => {
    for (const by of ['none', 'member', 'admin', 'owner'] as const) {
      for (const of of ['none', 'member', 'admin', 'owner'] as const) {
        const isAbove = AFFILIATIONS.indexOf(of) > AFFILIATIONS.indexOf(by);
        assert.equal(may(by, 'moderator', of, 'participant', 'none'), !isAbove, `${by} kicks ${of}`);
        if (isAbove) assert.equal(may(by, 'moderator', of, 'participant', 'visitor'), false, `${by} mutes ${of}`);
        if (of === 'admin' || of === 'owner')
          assert.equal(may(by, 'moderator', of, 'moderator', 'visitor'), false, `${by} mutes ${of}`);
      }
    }
    for (const rank of ['admin', 'owner'] as const) {
      assert.equal(may(rank, 'moderator', rank, 'moderator', 'none'), true, `${rank} kicks ${rank}`);
      assert.equal(may(rank, 'moderator', rank, 'moderator', 'participant'), false, `${rank} unmakes ${rank}`);
    }
    assert.equal(may('owner', 'moderator', 'admin', 'moderator', 'none'), true);
    assert.equal(may('admin', 'moderator', 'owner', 'moderator', 'none'), false);
  });
});

describe('muc: nicks', () => {
  const one = (real: string, nick: string) =>
    new Occupant({
      real: Jid.parse(real),
      jid: Jid.parse(`coven@chat.example.org/${nick}`),
      role: 'participant',
      presence: Stanza.written({ name: 'presence' }, ''),
      id: '',
    });

  for (const [a, b] of [
    ['Witch', 'witch'],
    ['witch', 'ｗｉｔｃｈ'],
    ['wit\u00adch', 'witch'],
    ['wi\u200dtch', 'witch'],
    ['first  witch', 'first witch'],
    ['ﬁrst', 'first'],
    ['é', 'e\u0301'],
  ]) {
    it(`are the same where people cannot tell them apart: ${JSON.stringify(a)} and ${JSON.stringify(b)}`, () => {
      assert.equal(fold(a!), fold(b!));
    });
  }

  it('are not the same otherwise', () => {
    assert.notEqual(fold('witch'), fold('witches'));
    assert.notEqual(fold('e'), fold('é'));
  });

  it('find those who share one, and forget who has gone or has another', () => {
    const occupants = new Occupants();
    const [desk, phone, other] = [one('a@x/desk', 'Hag'), one('a@x/phone', 'hag'), one('b@x/1', 'crone')];
    for (const occupant of [desk!, phone!, other!]) occupants.add(occupant);
    assert.deepEqual([occupants.size, occupants.people], [3, 2]);
    assert.deepEqual(occupants.named('HAG'), [desk, phone]);
    assert.deepEqual([...occupants.firsts()], [desk, other]);
    occupants.rename(desk!, Jid.parse('coven@chat.example.org/oldhag'));
    assert.deepEqual([occupants.named('hag'), occupants.named('oldhag')], [[phone], [desk]]);
    occupants.remove(phone!);
    assert.deepEqual([occupants.size, occupants.named('hag'), occupants.of(Jid.parse('a@x/desk'))?.nick], [2, [], 'oldhag']);
  });
});
