# How a program is driven by lines on its standard input, and tells what happens by lines on its standard output.
import asyncio
import sys


def say(*words):
    print(" ".join(words), flush=True)


async def orders():
    """What to do, for whom, and the rest of the line, until it is to leave."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := (await reader.readline()).decode().rstrip("\n"):
        verb, _, rest = line.partition(" ")
        if verb == "quit":
            return
        to, _, text = rest.partition(" ")
        yield verb, to, text


def run(client, obey):
    """Has the client do what it is told until it has left."""

    async def begin():
        await obey(client)
        await client.disconnect()
        client.loop.stop()

    client.connect(address=client.address_of_server)
    # Without a name it would be collected before it is done.
    task = client.loop.create_task(begin())
    client.loop.run_forever()
    return task
