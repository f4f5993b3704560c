"""Follows the KV events of an engine, simulated or real, with libzmq and msgspec, keeps an index of its blocks from nothing
else, and says before each request how many tokens the engine will find.   usage: kv_events_client.py BASE_URL SCENARIO

SCENARIO is a JSON list of steps; prints one JSON list with a result for each. The steps are the methods of Client.
"""

import hashlib
import json
import sys
import time
import urllib.error
import urllib.request
from collections import Counter

import cbor2
import msgspec
import zmq

END = b"\xff" * 8
LIMIT_S = 20
# After which a real engine, which does not say how many batches it has published, is taken to have nothing more to say.
QUIET_MS = 700


# As in vllm/distributed/kv_events.py of 0.32 (maps), of 0.23 (arrays), and in SGLang.
class Event(msgspec.Struct, tag=True, omit_defaults=True, forbid_unknown_fields=True):
    pass


class BlockStored(Event):
    block_hashes: list[int | bytes]
    parent_block_hash: int | bytes | None
    token_ids: list[int]
    block_size: int
    lora_id: int | None
    medium: str | None
    lora_name: str | None
    extra_keys: list[list[str] | None] | None = None
    group_idx: int | None = None
    kv_cache_spec_kind: str | None = None
    kv_cache_spec_sliding_window: int | None = None


class BlockRemoved(Event):
    block_hashes: list[int | bytes]
    medium: str | None
    group_idx: int | None = None


class AllBlocksCleared(Event):
    pass


class ArrayEvent(msgspec.Struct, tag=True, array_like=True, omit_defaults=True, forbid_unknown_fields=True):
    pass


class ArrayStored(ArrayEvent, tag="BlockStored"):
    block_hashes: list[int | bytes]
    parent_block_hash: int | bytes | None
    token_ids: list[int]
    block_size: int
    lora_id: int | None
    medium: str | None
    lora_name: str | None
    extra_keys: list[list[str] | None] | None = None
    group_idx: int | None = None
    kv_cache_spec_kind: str | None = None


class ArrayRemoved(ArrayEvent, tag="BlockRemoved"):
    block_hashes: list[int | bytes]
    medium: str | None
    group_idx: int | None = None


class ArrayCleared(ArrayEvent, tag="AllBlocksCleared"):
    pass


class SglangStored(ArrayEvent, tag="BlockStored"):
    block_hashes: list[int]
    parent_block_hash: int | None
    token_ids: list[int]
    block_size: int
    lora_id: int | None
    medium: str | None = None


class SglangRemoved(ArrayEvent, tag="BlockRemoved"):
    block_hashes: list[int]
    medium: str | None = None


def batch_of(*events):
    union = events[0]
    for event in events[1:]:
        union |= event

    class Batch(msgspec.Struct, array_like=True, omit_defaults=True):
        ts: float
        events: list[union]
        data_parallel_rank: int | None = None

    return msgspec.msgpack.Decoder(Batch)


DECODERS = {
    "vllm": batch_of(BlockStored, BlockRemoved, AllBlocksCleared),
    "vllm-array": batch_of(ArrayStored, ArrayRemoved, ArrayCleared),
    "sglang": batch_of(SglangStored, SglangRemoved, ArrayCleared),
}


def kind(event):
    return type(event).__struct_config__.tag


def shown(names):
    return [name.hex() if isinstance(name, bytes) else str(name) for name in names]


class Index:
    """The blocks of one rank: how many of each name there are, and which block follows which."""

    def __init__(self):
        self.counts = Counter()
        self.children = {}
        self.spoken = 0

    def apply(self, event):
        self.spoken += 1
        if kind(event) == "AllBlocksCleared":
            self.counts.clear()
        elif kind(event) == "BlockRemoved":
            for name in event.block_hashes:
                self.counts[name] -= 1
        else:
            self.store(event)

    def store(self, event):
        size, parent = event.block_size, event.parent_block_hash
        keys = getattr(event, "extra_keys", None) or [None] * len(event.block_hashes)
        assert len(keys) == len(event.block_hashes)
        assert len(event.token_ids) == size * len(event.block_hashes)
        for i, name in enumerate(event.block_hashes):
            tokens = tuple(event.token_ids[i * size : (i + 1) * size])
            self.children[(parent, tokens, tuple(keys[i] or ()))] = name
            self.counts[name] += 1
            parent = name

    def run(self, tokens, size, extra):
        """Names of the leading blocks of a prompt that are in the cache; `extra` gives the keys of each block."""
        names, parent = [], None
        for i in range(len(tokens) // size):
            name = self.children.get((parent, tuple(tokens[i * size : (i + 1) * size]), extra(i)))
            if name is None or self.counts[name] <= 0:
                break
            names.append(name)
            parent = name
        return names


class Client:
    def __init__(self, base, encoding="vllm", size=16):
        self.base, self.size = base, size
        self.decoder = DECODERS[encoding]
        self.has_topic = encoding == "vllm"
        self.context = zmq.Context()
        self.indexes, self.sockets, self.next, self.seen = {}, {}, {}, []
        self.sources = {int(rank): config for rank, config in self.http("/kv_event_sources").items()}
        for rank, config in self.sources.items():
            socket = self.context.socket(zmq.SUB)
            socket.setsockopt(zmq.SUBSCRIBE, config["topic"].encode())
            socket.connect(config["endpoint"])
            self.indexes[rank], self.sockets[rank], self.next[rank] = Index(), socket, 0
        try:
            self.http("/sim/kv-events")
            self.is_simulated = True
        except urllib.error.HTTPError:
            self.is_simulated = False

    # -- the wire

    def http(self, path, body=None, headers=None, expects_json=True):
        data = None if body is None else json.dumps(body).encode()
        head = {"content-type": "application/json", **(headers or {})}
        with urllib.request.urlopen(urllib.request.Request(self.base + path, data, head), timeout=LIMIT_S) as answer:
            text = answer.read()
        return json.loads(text) if expects_json else text

    def ask_replay(self, rank, start):
        socket = self.context.socket(zmq.DEALER)
        socket.connect(self.sources[rank]["replay_endpoint"])
        socket.send_multipart([b"", start.to_bytes(8, "big")])
        answers = []
        while socket.poll(LIMIT_S * 1000):
            frames = socket.recv_multipart()
            answers.append(frames)
            if frames[-2] == END:
                socket.close(0)
                return answers
        raise TimeoutError("a replay without an end")

    def take(self, rank, sequence, payload):
        if sequence < self.next[rank]:
            return
        assert sequence == self.next[rank], (sequence, self.next)
        self.next[rank] += 1
        batch = self.decoder.decode(payload)
        for event in batch.events:
            self.indexes[rank].apply(event)
        self.seen.append((rank, sequence, batch))

    def catch_up(self, rank, start):
        for frames in self.ask_replay(rank, start)[:-1]:
            sequence = int.from_bytes(frames[-2], "big")
            self.take(rank, sequence, frames[-1])

    def receive(self, rank):
        """Takes the next message; returns the gap before it."""
        topic, sequence, payload = self.sockets[rank].recv_multipart()
        assert topic.decode() == self.sources[rank]["topic"]
        sequence, gap = int.from_bytes(sequence, "big"), []
        if sequence > self.next[rank]:
            gap = [[rank, self.next[rank], sequence]]
            self.catch_up(rank, self.next[rank])
        self.take(rank, sequence, payload)
        return gap

    def follow(self):
        """Takes all that was published so far; returns the gaps that a replay had to fill."""
        gaps = []
        if not self.is_simulated:
            for rank, socket in self.sockets.items():
                while socket.poll(QUIET_MS):
                    gaps += self.receive(rank)
                self.catch_up(rank, self.next[rank])
            return gaps
        for state in self.http("/sim/kv-events"):
            rank, end = state["rank"], state["nextSequence"]
            deadline = time.time() + LIMIT_S
            while self.next[rank] < end:
                assert time.time() < deadline, (self.next, end)
                if not self.sockets[rank].poll(200):
                    # Either the subscription came too late, or the last messages are lost.
                    gaps.append([rank, self.next[rank], end])
                    self.catch_up(rank, self.next[rank])
                    continue
                gaps += self.receive(rank)
        return gaps

    # -- steps of a scenario

    def complete(self, prompt, model="tiny", salt=None, tokens=8, rank=None):
        """One completion: what the index foresaw, what the engine found, and what was announced."""
        gaps = self.follow()
        ids = prompt if isinstance(prompt, list) else self.http("/tokenize", {"model": model, "prompt": prompt})["tokens"]
        adapter = () if model == "tiny" else (model,)
        extra = lambda i: adapter + ((salt,) if salt and i == 0 else ())
        found = {
            r: min(len(index.run(ids, self.size, extra)), (len(ids) - 1) // self.size) * self.size
            for r, index in self.indexes.items()
        }
        body = {"model": model, "prompt": prompt, "max_tokens": tokens, "ignore_eos": True}
        if salt:
            body["cache_salt"] = salt
        headers = {} if rank is None else {"x-data-parallel-rank": str(rank)}
        first = len(self.seen)
        usage = self.http("/v1/completions", body, headers)["usage"]
        gaps += self.follow()
        return {
            "foreseen": found[rank or 0],
            "others": [count for r, count in found.items() if r != (rank or 0)],
            "cached": usage["prompt_tokens_details"]["cached_tokens"],
            "prompt": usage["prompt_tokens"],
            "gaps": gaps,
            "batches": [
                [r, sequence, batch.data_parallel_rank, [kind(event) for event in batch.events]]
                for r, sequence, batch in self.seen[first:]
            ],
            "stored": [
                {
                    "names": shown(event.block_hashes),
                    "has_parent": event.parent_block_hash is not None,
                    "lora_id": event.lora_id,
                    "lora_name": getattr(event, "lora_name", None),
                    "extra_keys": getattr(event, "extra_keys", None),
                }
                for _, _, batch in self.seen[first:]
                for event in batch.events
                if kind(event) == "BlockStored"
            ],
            "removed": [
                [shown(event.block_hashes), event.medium, getattr(event, "group_idx", None)]
                for _, _, batch in self.seen[first:]
                for event in batch.events
                if kind(event) == "BlockRemoved"
            ],
        }

    def load(self, name, path):
        """Loads an adapter."""
        self.http("/v1/load_lora_adapter", {"lora_name": name, "lora_path": path}, expects_json=False)

    def reset(self):
        """Clears the cache, and says how many messages came within half a second."""
        self.follow()
        assert self.http("/reset_prefix_cache", {}) == {"success": True}
        time.sleep(0.5)
        return sum(1 for socket in self.sockets.values() if socket.poll(0))

    def replay(self, start, rank=0):
        """Raw frames of a replay: lengths, sequence numbers, topics, and whether they equal what was published."""
        answers = self.ask_replay(rank, start)
        return {
            "frames": [len(frames) for frames in answers],
            "delimiters": [frames[0].hex() for frames in answers],
            "topics": [frames[1].decode() for frames in answers] if self.has_topic else [],
            "sequences": [int.from_bytes(frames[-2], "big") for frames in answers[:-1]],
            "end": [frame.hex() for frame in answers[-1]],
        }

    def recompute(self, seed, paths):
        """How many announced names differ from SHA-256 over canonical CBOR, computed from the announced tokens."""
        none = hashlib.sha256(cbor2.dumps(seed, canonical=True)).digest()
        digests, wrong, checked = {None: none}, 0, 0
        for _, _, batch in self.seen:
            for event in batch.events:
                if kind(event) != "BlockStored":
                    continue
                parent = digests[event.parent_block_hash]
                for i, name in enumerate(event.block_hashes):
                    tokens = event.token_ids[i * event.block_size : (i + 1) * event.block_size]
                    plain, extra = list(event.extra_keys[i] or []), []
                    if event.lora_name:
                        extra.append(["lora", plain.pop(0), paths[event.lora_name]])
                    extra += [["cache_salt", salt] for salt in plain]
                    parent = hashlib.sha256(cbor2.dumps([parent, tokens, extra or None], canonical=True)).digest()
                    own = parent if isinstance(name, bytes) else int.from_bytes(parent[-8:], "big")
                    digests[name] = parent
                    checked += 1
                    wrong += own != name
        return {"wrong": wrong, "checked": checked}

    def sources_page(self):
        return self.http("/kv_event_sources")

    def close(self):
        for socket in self.sockets.values():
            socket.close(0)
        self.context.term()


def main():
    base, scenario = sys.argv[1], json.loads(sys.argv[2])
    client = Client(base, **scenario.get("client", {}))
    results = []
    for name, *arguments in scenario["steps"]:
        results.append(getattr(client, name)(**(arguments[0] if arguments else {})))
    client.close()
    print(json.dumps(results))


if __name__ == "__main__":
    main()
