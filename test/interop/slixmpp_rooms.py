# slixmpp (Python) in rooms, driven by lines on its standard input: a number, a verb, and what belongs to it. It writes what it notices
# as room-clients.ts says, and answers each line with `answered <number>`.
import asyncio
import ssl
import sys

import slixmpp
from slixmpp.exceptions import IqError, PresenceError

PLUGINS = ["xep_0045", "xep_0199", "xep_0249", "xep_0313", "xep_0359", "xep_0421"]
USER = "{http://jabber.org/protocol/muc#user}"


class Client(slixmpp.ClientXMPP):
    def __init__(self, jid, password, address):
        super().__init__(jid, password)
        for plugin in PLUGINS:
            self.register_plugin(plugin)
        self.rooms = self["xep_0045"]
        self.add_event_handler("session_start", self.begin)
        self.add_event_handler("groupchat_message", self.hear)
        self.add_event_handler("groupchat_subject", self.learn)
        self.add_event_handler("groupchat_presence", self.see)
        self.add_event_handler("groupchat_invite", self.be_invited)
        self.add_event_handler("groupchat_direct_invite", self.be_invited_directly)
        self.add_event_handler("failed_auth", lambda _: say("failed_auth"))
        self.ssl_context.check_hostname = False
        self.ssl_context.verify_mode = ssl.CERT_NONE
        self.connect(address=address)

    async def begin(self, _event):
        await self.get_roster()
        self.send_presence()
        say("ready")

    def hear(self, message):
        room, nick, body = message["from"].user, message["from"].resource, message["body"]
        say(room, "id", nick, message["occupant-id"]["id"])
        say(room, "at", message["stanza_id"]["id"], nick, body)
        say(room, "said", nick, body)

    def learn(self, message):
        say(message["from"].user, "subject", message["from"].resource, message["subject"])

    def see(self, presence):
        room, nick = presence["from"].user, presence["from"].resource
        codes = presence["muc"]["status_codes"]
        if 303 in codes:
            say(room, "renamed", nick, presence.xml.find(f"{USER}x/{USER}item").get("nick"))
        elif presence["type"] == "unavailable":
            say(room, "gone", nick, ",".join(sorted(map(str, codes))))
        else:
            say(room, "here", nick)

    def be_invited(self, message):
        invite = message["muc"]["invite"]
        say(message["from"].user, "invited", invite["from"], invite["reason"])

    def be_invited_directly(self, message):
        invite = message["groupchat_invite"]
        say(slixmpp.JID(invite["jid"]).user, "invited-directly", message["from"].bare, invite["reason"])

    async def obey(self, number, verb, room, rest):
        first, _, more = rest.partition(" ")
        if verb == "join":
            await self.rooms.join_muc_wait(room, first, maxstanzas=int(more))
        elif verb == "say":
            self.send_message(mto=room, mbody=rest, mtype="groupchat")
        elif verb == "subject":
            self.rooms.set_subject(room, rest)
        elif verb == "nick":
            self.send_presence(pto=f"{room}/{rest}")
        elif verb == "ping":
            await self["xep_0199"].send_ping(room)
        elif verb == "configure":
            form = await self.rooms.get_room_config(room)
            say("was", number, str(form["values"][first]))
            form["values"] = {first: more}
            await self.rooms.set_room_config(room, form)
        elif verb == "grant":
            await self.rooms.set_affiliation(room, more, jid=first)
        elif verb == "invite":
            self.rooms.invite(room, first, more)
        elif verb == "invite-directly":
            self["xep_0249"].send_invitation(first, room, reason=more)
        elif verb == "kick":
            await self.rooms.set_role(room, first, "none", reason=more)
        elif verb == "ban":
            await self.rooms.set_affiliation(room, "outcast", jid=first, reason=more)
        elif verb == "archive":
            await self.show_archive(number, room, int(first), more)

    async def show_archive(self, number, room, most, after):
        rsm = {"max": most, **({"after": after} if after else {})}
        async for page in self["xep_0313"].retrieve(jid=room, rsm=rsm, iterator=True):
            say("archived", number, "page")
            for result in page["mam_fin"]["results"]:
                message = result["mam_result"]["forwarded"]["stanza"]
                if message["body"]:
                    nick = message["from"].resource
                    say("archived", number, "item", result["mam_result"]["id"], nick, message["body"])


def say(*words):
    print(" ".join(map(str, words)), flush=True)


async def obey(client):
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := (await reader.readline()).decode().rstrip("\n"):
        if line == "quit":
            break
        number, verb, room, rest = (line.split(" ", 3) + [""])[:4]
        try:
            await client.obey(number, verb, slixmpp.JID(room), rest)
        except (IqError, PresenceError) as error:
            say("failed", number, error.condition)
        say("answered", number)
    await client.disconnect()
    loop.stop()


jid, password, port = sys.argv[1:4]
client = Client(jid, password, ("127.0.0.1", int(port)))
# Without a name it would be collected before it is done.
task = client.loop.create_task(obey(client))
client.loop.run_forever()
