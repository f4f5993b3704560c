"""Talks to a realtime endpoint that echoes, with the OpenAI Python client; prints what it saw as JSON."""

import asyncio
import json
import sys

from openai import AsyncOpenAI, OpenAI
from websockets.exceptions import InvalidStatus

update = {"type": "session.update", "session": {"type": "realtime", "instructions": "Be brief."}}
options = {"base_url": sys.argv[1], "api_key": "client-secret"}


def sync_echo() -> str:
    with OpenAI(**options).realtime.connect(model="gpt-realtime") as connection:
        connection.send(update)
        return json.loads(connection.recv_bytes())["type"]


async def async_echo() -> str:
    async with AsyncOpenAI(**options).realtime.connect(model="gpt-realtime") as connection:
        await connection.send(update)
        return json.loads(await connection.recv_bytes())["type"]


def refused() -> int:
    try:
        with OpenAI(**options).realtime.connect(model="nobody"):
            return 101
    except InvalidStatus as error:
        return error.response.status_code


print(json.dumps({"sync": sync_echo(), "async": asyncio.run(async_echo()), "refused": refused()}))
