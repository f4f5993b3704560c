"""Uses the OpenAI Python client against BASE_URL and prints what it saw as one JSON object."""

import asyncio
import json
import sys

import openai

MESSAGES = [{"role": "user", "content": "Name a colour."}]


def chat(client):
    answer = client.chat.completions.create(model="tiny", messages=MESSAGES, max_tokens=12)
    return {"text": answer.choices[0].message.content, "model": answer.model, "tokens": answer.usage.completion_tokens}


def stream(client):
    chunks = client.chat.completions.create(
        model="tiny", messages=MESSAGES, max_tokens=12, stream=True, stream_options={"include_usage": True}
    )
    text, usage = "", None
    for chunk in chunks:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            text += choice.delta.content or ""
    return {"text": text, "tokens": usage.completion_tokens}


async def stream_async(base_url):
    client = openai.AsyncOpenAI(base_url=base_url, api_key="client-key", max_retries=0)
    chunks = await client.chat.completions.create(model="tiny", messages=MESSAGES, max_tokens=12, stream=True)
    text = ""
    async for chunk in chunks:
        text += "".join(choice.delta.content or "" for choice in chunk.choices)
    await client.close()
    return {"text": text}


def tool(client):
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    function = {"name": "weather", "parameters": schema}
    answer = client.chat.completions.create(
        model="tiny", messages=MESSAGES, tools=[{"type": "function", "function": function}]
    )
    return {"name": answer.choices[0].message.tool_calls[0].function.name}


def embeddings(client):
    answer = client.embeddings.create(model="tiny", input=["one", "two"], dimensions=16)
    return {"sizes": [len(row.embedding) for row in answer.data]}


def transcription(client):
    answer = client.audio.transcriptions.create(model="tiny", file=("a.wav", b"\x07" * 20000))
    return {"text": answer.text}


def unknown_model(client):
    try:
        client.chat.completions.create(model="tinny", messages=MESSAGES)
    except openai.NotFoundError as error:
        return {"class": type(error).__name__, "code": error.code, "message": error.message, "id": error.request_id}
    return {}


def cut_stream(client):
    header = {"x-sim-fault": "truncate;chunks=3"}
    chunks = client.chat.completions.create(model="tiny", messages=MESSAGES, stream=True, extra_headers=header)
    try:
        for _ in chunks:
            pass
    except openai.APIError as error:
        return {"class": type(error).__name__, "message": error.message}
    return {}


def main():
    base_url = sys.argv[1]
    client = openai.OpenAI(base_url=base_url, api_key="client-key", max_retries=0)
    calls = (chat, stream, tool, embeddings, transcription, unknown_model, cut_stream)
    result = {call.__name__: call(client) for call in calls}
    result["models"] = [model.id for model in client.models.list()]
    result["stream_async"] = asyncio.run(stream_async(base_url))
    json.dump(result, sys.stdout)


main()
