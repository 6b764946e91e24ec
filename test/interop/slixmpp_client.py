# slixmpp (Python) over TCP with STARTTLS, driven by lines on its standard input.
import ssl
import sys

import slixmpp

from slixmpp_lines import orders, run, say

PLUGINS = ["xep_0184", "xep_0198", "xep_0280", "xep_0313", "xep_0333", "xep_0352"]


class Client(slixmpp.ClientXMPP):
    def __init__(self, jid, password, address):
        super().__init__(jid, password)
        for plugin in PLUGINS:
            self.register_plugin(plugin)
        self.address_of_server = address
        self.is_leaving = False
        self.add_event_handler("session_start", self.begin)
        self.add_event_handler("session_resumed", lambda _: say("resumed"))
        self.add_event_handler("disconnected", self.come_back)
        self.add_event_handler("presence_available", self.see)
        self.add_event_handler("message", self.hear)
        self.add_event_handler("carbon_sent", lambda m: self.overhear(m["carbon_sent"]))
        self.add_event_handler("carbon_received", lambda m: self.overhear(m["carbon_received"]))
        self.add_event_handler("receipt_received", lambda m: say("receipt", m["from"].bare, m["receipt"]))
        self.add_event_handler("marker_displayed", lambda m: say("displayed", m["from"].bare, m["displayed"]["id"]))
        self.add_event_handler("failed_auth", lambda _: say("failed_auth"))
        self.add_event_handler("connection_failed", lambda e: say("connection_failed", str(e)))
        self.ssl_context.check_hostname = False
        self.ssl_context.verify_mode = ssl.CERT_NONE

    async def begin(self, _event):
        await self.get_roster()
        self.send_presence()
        say("ready")

    def come_back(self, _reason):
        if not self.is_leaving:
            self.connect(address=self.address_of_server)

    def see(self, presence):
        say("presence", presence["from"].bare)
        if presence["status"]:
            say("status", presence["from"].bare, presence["status"])

    def hear(self, message):
        if message["body"]:
            say("message", message["from"].bare, message["body"])

    def overhear(self, message):
        say("copy", message["from"].bare, message["to"].bare, message["body"])

    async def show_history(self, other, most):
        pages = self["xep_0313"].retrieve(with_jid=slixmpp.JID(other), rsm={"max": int(most)}, iterator=True)
        sizes = []
        async for page in pages:
            results = page["mam_fin"]["results"]
            sizes.append(str(len(results)))
            for result in results:
                message = result["mam_result"]["forwarded"]["stanza"]
                say("history", message["from"].bare, message["body"])
        say("pages", *sizes)


async def obey(client):
    async for verb, to, body in orders():
        if verb == "send":
            client.send_message(mto=to, mbody=body, mtype="chat")
        elif verb == "carbons":
            await client["xep_0280"].enable()
            say("carbons")
        elif verb == "displayed":
            client["xep_0333"].send_marker(mto=slixmpp.JID(to), id=body, marker="displayed")
        elif verb == "inactive":
            client["xep_0352"].send_inactive()
        elif verb == "active":
            client["xep_0352"].send_active()
        elif verb == "history":
            await client.show_history(to, body)
    client.is_leaving = True


jid, password, port = sys.argv[1:4]
run(Client(jid, password, ("127.0.0.1", int(port))), obey)
