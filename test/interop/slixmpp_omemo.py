# slixmpp (Python) with python-omemo, which has all of the cryptography: devices of one account, driven by lines on standard input.
import asyncio
import hashlib
import json
import os
import ssl
import sys
import xml.etree.ElementTree as ET
from xml.sax.saxutils import escape

import oldmemo
import oldmemo.etree
import omemo
import slixmpp
import twomemo
import twomemo.etree
from slixmpp.exceptions import IqError, XMPPError

from slixmpp_lines import orders, run, say

OLD = oldmemo.oldmemo.NAMESPACE
NEW = twomemo.twomemo.NAMESPACE
LISTS = {OLD: f"{OLD}.devicelist", NEW: f"{NEW}:devices"}
FORMATS = {OLD: oldmemo.etree, NEW: twomemo.etree}
BACKENDS = {OLD: oldmemo.Oldmemo, NEW: twomemo.Twomemo}
SCE = "urn:xmpp:sce:1"


def bundle_place(namespace, device_id):
    """The node and the item of a bundle, and what is asked of the node."""
    if namespace == OLD:
        return f"{OLD}.bundles:{device_id}", "current", {}
    return f"{NEW}:bundles", str(device_id), {"max_items": "max"}


class Drawer(omemo.Storage):
    """What a device keeps, in a file once it leaves."""

    def __init__(self, path):
        super().__init__(True)
        self.path = path
        self.values = {}
        if path and os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                self.values = json.load(file)

    async def _load(self, key):
        return omemo.Just(self.values[key]) if key in self.values else omemo.Nothing()

    async def _store(self, key, value):
        self.values[key] = value

    async def _delete(self, key):
        self.values.pop(key, None)

    def save(self):
        if self.path:
            with open(self.path, "w", encoding="utf-8") as file:
                json.dump(self.values, file)


class Devices:
    """Where the library's devices publish and fetch."""

    def __init__(self, client):
        self.pubsub = client["xep_0060"]
        self.client = client

    def make(self):
        """The library wants a class, which it makes an instance of."""
        devices = self

        class Device(omemo.SessionManager):
            @staticmethod
            async def _upload_bundle(bundle):
                node, item, options = bundle_place(bundle.namespace, bundle.device_id)
                payload = FORMATS[bundle.namespace].serialize_bundle(bundle)
                await devices.publish(node, item, payload, options)

            @staticmethod
            async def _download_bundle(namespace, bare_jid, device_id):
                node, item, _ = bundle_place(namespace, device_id)
                payload = await devices.fetch(bare_jid, node, item)
                if payload is None:
                    raise omemo.BundleNotFound(f"{bare_jid} has no bundle {device_id}")
                return FORMATS[namespace].parse_bundle(payload, bare_jid, device_id)

            @staticmethod
            async def _delete_bundle(namespace, device_id):
                node, item, _ = bundle_place(namespace, device_id)
                await devices.pubsub.retract(None, node, item)

            @staticmethod
            async def _upload_device_list(namespace, device_list):
                payload = FORMATS[namespace].serialize_device_list(device_list)
                await devices.publish(LISTS[namespace], "current", payload, {})

            @staticmethod
            async def _download_device_list(namespace, bare_jid):
                payload = await devices.fetch(bare_jid, LISTS[namespace], "current")
                return {} if payload is None else FORMATS[namespace].parse_device_list(payload)

            async def _evaluate_custom_trust_level(self, device):
                return omemo.TrustLevel.TRUSTED

            async def _make_trust_decision(self, undecided, identifier):
                pass

            @staticmethod
            async def _send_message(message, bare_jid):
                devices.client.post(message, bare_jid)

        return Device

    async def fetch(self, bare_jid, node, item):
        try:
            answer = await self.pubsub.get_item(slixmpp.JID(bare_jid), node, item)
        except IqError as error:
            if error.condition == "item-not-found":
                return None
            raise
        for found in answer["pubsub"]["items"]:
            if found["id"] == item:
                return found["payload"]
        return None

    async def publish(self, node, item, payload, options):
        """Publishes for everybody. A node that is there and is configured otherwise is configured anew, as clients do it."""
        wanted = {"access_model": "open", **options}
        form = self.client["xep_0004"].make_form(ftype="submit")
        form.add_field(var="FORM_TYPE", ftype="hidden", value="http://jabber.org/protocol/pubsub#publish-options")
        for name, value in wanted.items():
            form.add_field(var=f"pubsub#{name}", value=value)
        try:
            await self.pubsub.publish(None, node, id=item, payload=payload, options=form)
        except IqError as error:
            if error.iq.xml.find(".//{http://jabber.org/protocol/pubsub#errors}precondition-not-met") is None:
                raise
            say("reconfigures", node)
            found = (await self.pubsub.get_node_config(None, node))["pubsub_owner"]["configure"]["form"]
            for name, value in wanted.items():
                found.get_fields()[f"pubsub#{name}"]["value"] = value
            found.reply()
            await self.pubsub.set_node_config(None, node, found)
            await self.pubsub.publish(None, node, id=item, payload=payload, options=form)


class Client(slixmpp.ClientXMPP):
    def __init__(self, jid, password, port, namespaces, drawers):
        super().__init__(jid, password)
        for plugin in ["xep_0004", "xep_0060", "xep_0163", "xep_0199", "xep_0280", "xep_0313"]:
            self.register_plugin(plugin)
        self.address_of_server = ("127.0.0.1", port)
        self.namespaces = namespaces
        self.drawers = drawers
        self.devices = []
        self.lists = {}
        self.are_made = asyncio.Event()
        self.in_turn = asyncio.Lock()
        self.add_event_handler("session_start", self.begin)
        self.add_event_handler("pubsub_publish", self.learn)
        self.add_event_handler("message", lambda m: self.take("live", m))
        self.add_event_handler("carbon_sent", lambda m: self.take("copy", m["carbon_sent"]))
        self.add_event_handler("carbon_received", lambda m: self.take("copy", m["carbon_received"]))
        self.add_event_handler("failed_auth", lambda _: say("failed_auth"))
        self.add_event_handler("connection_failed", lambda e: say("connection_failed", str(e)))
        self.ssl_context.check_hostname = False
        self.ssl_context.verify_mode = ssl.CERT_NONE

    async def begin(self, _event):
        try:
            await self.get_roster()
            await self["xep_0280"].enable()
            for namespace in self.namespaces:
                self["xep_0163"].add_interest(LISTS[namespace])
            await self["xep_0115"].update_caps(broadcast=False)
            self.send_presence()
            for drawer in self.drawers:
                backends = [BACKENDS[namespace](drawer) for namespace in self.namespaces]
                device = await Devices(self).make().create(backends, drawer, self.boundjid.bare, None, "undecided")
                await device.after_history_sync()
                self.devices.append(device)
                own, _ = await device.get_own_device_information()
                say("device", str(own.device_id))
            self.are_made.set()
            say("ready")
        except Exception as error:
            say("failed", repr(error))
            raise

    async def learn(self, message):
        """A list of devices has come by itself."""
        items = message["pubsub_event"]["items"]
        namespace = next((each for each, node in LISTS.items() if node == items["node"]), None)
        if namespace is None:
            return
        place = namespace, message["from"].bare
        for item in items:
            self.lists[place] = FORMATS[namespace].parse_device_list(item["payload"])
            say("devices", *reversed(place), *sorted(map(str, self.lists[place])))
        await self.are_made.wait()
        async with self.in_turn:
            # Only the last one counts, or devices that have not been on an older one would publish it anew.
            if found := self.lists.pop(place, None):
                for device in self.devices:
                    await device.update_device_list(*place, found)

    def take(self, how, message):
        if message.xml.find("{urn:xmpp:delay}delay") is not None:
            how = "late"
        asyncio.ensure_future(self.read(how, message))

    async def read(self, how, message):
        found = encrypted_in(message)
        if found is None:
            if message["body"]:
                say("plain", message["from"].bare, message["body"])
            return
        namespace, element = found
        say("seen", how, message["id"], digest(message))
        await self.are_made.wait()
        async with self.in_turn:
            texts = set()
            readers = 0
            for device in self.devices:
                try:
                    text = await self.decrypt(device, namespace, element, message["from"].bare)
                except omemo.MessageNotForUs:
                    continue
                except Exception as error:
                    say("unreadable", how, message["id"], repr(error).replace("\n", " "))
                    continue
                readers += 1
                if text is not None:
                    texts.add(text)
        for text in texts:
            say("text", how, message["from"].bare, text, *([str(readers)] if len(self.devices) > 1 else []))

    async def decrypt(self, device, namespace, element, sender):
        if namespace == OLD:
            parsed = await oldmemo.etree.parse_message(element, sender, self.boundjid.bare, device)
        else:
            parsed = twomemo.etree.parse_message(element, sender)
        plain, _, _ = await device.decrypt(parsed)
        if plain is None or namespace == OLD:
            return None if plain is None else plain.decode()
        return ET.fromstring(plain).find(f"{{{SCE}}}content/{{jabber:client}}body").text

    async def say_to(self, bare_jid, text):
        """As the first of the devices here."""
        envelope = (
            f"<envelope xmlns='{SCE}'><content><body xmlns='jabber:client'>{escape(text)}</body></content>"
            f"<rpad>{'x' * (len(text) % 7)}</rpad><from jid='{self.boundjid.bare}'/></envelope>"
        )
        plain = {OLD: text.encode(), NEW: envelope.encode()}
        async with self.in_turn:
            wanted = {namespace: plain[namespace] for namespace in self.namespaces}
            messages, errors = await self.devices[0].encrypt(frozenset({bare_jid}), wanted)
        for error in errors:
            say("not_encrypted", error.bare_jid, str(error.device_id), repr(error.exception))
        for message in messages:
            self.post(message, bare_jid)

    def post(self, message, bare_jid):
        stanza = self.make_message(mto=bare_jid, mtype="chat")
        stanza["id"] = self.new_id()
        stanza.xml.append(FORMATS[message.namespace].serialize_message(message))
        stanza.xml.append(ET.Element("{urn:xmpp:hints}store"))
        name = {"name": "OMEMO"} if message.namespace == OLD else {}
        stanza.xml.append(ET.Element("{urn:xmpp:eme:0}encryption", {"namespace": message.namespace, **name}))
        if not message.content.empty:
            stanza["body"] = "This is for whoever has the keys."
            say("sent", stanza["id"], digest(stanza), str(len(message.keys)))
        stanza.send()

    async def show_history(self, other):
        answer = await self["xep_0313"].retrieve(with_jid=slixmpp.JID(other))
        for result in answer["mam"]["results"]:
            await self.read("history", result["mam_result"]["forwarded"]["stanza"])
        say("history", other)


def encrypted_in(message):
    for namespace in FORMATS:
        element = message.xml.find(f"{{{namespace}}}encrypted")
        if element is not None:
            return namespace, element
    return None


def digest(message):
    """Of all that belongs to the encryption, in its order, as it is in canonical XML."""
    kept = ["jabber:client", OLD, NEW, "urn:xmpp:hints", "urn:xmpp:eme:0"]
    parts = [ET.tostring(child, encoding="unicode") for child in message.xml if child.tag[1:].split("}")[0] in kept]
    text = "".join(ET.canonicalize(part) for part in parts)
    return hashlib.sha256(text.encode()).hexdigest()


async def obey(client):
    async for verb, to, text in orders():
        try:
            if verb == "send":
                await client.say_to(to, text)
            elif verb == "history":
                await client.show_history(to)
        except (XMPPError, omemo.OMEMOException) as error:
            say("failed", verb, repr(error).replace("\n", " "))
    async with client.in_turn:
        for drawer in client.drawers:
            drawer.save()


jid, password, port, namespaces, where = sys.argv[1:6]
# A number is how many devices there are, which are gone afterwards; otherwise it is the file of the only one.
drawers = [Drawer(None) for _ in range(int(where))] if where.isdigit() else [Drawer(where)]
run(Client(jid, password, int(port), namespaces.split(","), drawers), obey)
