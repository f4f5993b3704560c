"""Run llama.cpp's own HTTP server (in this process, from the xllamacpp wheel) on 127.0.0.1 until SIGTERM.

usage: llama_serve.py MODEL.gguf PORT SLOTS

The served name is `tiny`; the context of 8192 tokens is divided over the slots; /metrics, /slots and /props are on.
"""
import signal, sys

import xllamacpp

signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.hostnames = ["127.0.0.1"]
params.port = int(sys.argv[2])
params.n_parallel = int(sys.argv[3])
params.model_alias = {"tiny"} if isinstance(params.model_alias, set) else "tiny"
params.n_ctx = 8192
params.cpuparams.n_threads = 1
params.cpuparams_batch.n_threads = 1
params.endpoint_metrics = True
params.endpoint_slots = True
params.endpoint_props = True
params.n_gpu_layers = 0
params.offline = True
params.warmup = False
server = xllamacpp.Server(params)
print("listening", server.listening_address, flush=True)
signal.sigwait({signal.SIGTERM, signal.SIGINT})
