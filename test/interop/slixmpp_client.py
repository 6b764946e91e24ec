# slixmpp (Python) over TCP with STARTTLS, driven by lines on its standard input.
import asyncio
import ssl
import sys

import slixmpp


class Client(slixmpp.ClientXMPP):
    def __init__(self, jid, password):
        super().__init__(jid, password)
        self.add_event_handler("session_start", self.begin)
        self.add_event_handler("presence_available", lambda p: say("presence", p["from"].bare))
        self.add_event_handler("message", self.hear)
        self.add_event_handler("failed_auth", lambda _: say("failed_auth"))
        self.add_event_handler("connection_failed", lambda e: say("connection_failed", str(e)))
        self.ssl_context.check_hostname = False
        self.ssl_context.verify_mode = ssl.CERT_NONE

    async def begin(self, _event):
        await self.get_roster()
        self.send_presence()
        say("ready")

    def hear(self, message):
        say("message", message["from"].bare, message["body"])


def say(*words):
    print(" ".join(words), flush=True)


async def obey(client):
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := (await reader.readline()).decode().rstrip("\n"):
        verb, _, rest = line.partition(" ")
        if verb == "quit":
            break
        to, _, body = rest.partition(" ")
        client.send_message(mto=to, mbody=body, mtype="chat")
    await client.disconnect()
    loop.stop()


jid, password, port = sys.argv[1:4]
client = Client(jid, password)
client.connect(address=("127.0.0.1", int(port)))
client.loop.create_task(obey(client))
client.loop.run_forever()
