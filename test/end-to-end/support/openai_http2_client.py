"""Uses the OpenAI Python client over HTTP/2 against BASE_URL, trusting CA_FILE, and prints what it saw as JSON."""

import asyncio
import json
import ssl
import sys

import openai

MESSAGES = [{"role": "user", "content": "Name a colour."}]


async def stream(client):
    chunks = await client.chat.completions.create(model="tiny", messages=MESSAGES, max_tokens=12, stream=True)
    text = ""
    async for chunk in chunks:
        text += "".join(choice.delta.content or "" for choice in chunk.choices)
    return text


async def main(base_url, ca_file):
    context = ssl.create_default_context(cafile=ca_file)
    context.check_hostname = False
    http = openai.DefaultAsyncHttpxClient(http2=True, verify=context)
    async with openai.AsyncOpenAI(base_url=base_url, api_key="client-key", max_retries=0, http_client=http) as client:
        raw = await client.chat.completions.with_raw_response.create(model="tiny", messages=MESSAGES, max_tokens=12)
        texts = await asyncio.gather(*(stream(client) for _ in range(20)))
        return {
            "version": raw.http_response.http_version,
            "text": raw.parse().choices[0].message.content,
            "streams": texts,
        }


print(json.dumps(asyncio.run(main(*sys.argv[1:]))))
