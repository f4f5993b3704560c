"""Write a tiny random Llama as GGUF, for llama.cpp.

usage: make_gguf.py MODEL_DIR OUT.gguf

MODEL_DIR comes from make_model.py: its tokenizer and shape are used. Weights have a fixed seed.
"""
import json, os, sys

import gguf, numpy as np

source, out = sys.argv[1:3]


def load(name):
    with open(os.path.join(source, name)) as file:
        return json.load(file)


config, tokenizer, tokenizer_config = load("config.json"), load("tokenizer.json"), load("tokenizer_config.json")
hidden, layers, feed_forward = config["hidden_size"], config["num_hidden_layers"], config["intermediate_size"]
vocab, heads = config["vocab_size"], config["num_attention_heads"]
generator = np.random.default_rng(1)


def random(*shape):
    return (generator.standard_normal(shape) * 0.05).astype(np.float32)


writer = gguf.GGUFWriter(out, "llama")
writer.add_name("tiny")
writer.add_context_length(config["max_position_embeddings"])
writer.add_embedding_length(hidden)
writer.add_block_count(layers)
writer.add_feed_forward_length(feed_forward)
writer.add_head_count(heads)
writer.add_head_count_kv(heads)
writer.add_rope_dimension_count(hidden // heads)
writer.add_layer_norm_rms_eps(1e-5)
writer.add_vocab_size(vocab)

tokens = [None] * vocab
for token, index in tokenizer["model"]["vocab"].items():
    tokens[index] = token
special = {added["id"] for added in tokenizer["added_tokens"]}
writer.add_tokenizer_model("gpt2")
writer.add_tokenizer_pre("gpt-2")
writer.add_token_list(tokens)
writer.add_token_types([gguf.TokenType.CONTROL if i in special else gguf.TokenType.NORMAL for i in range(vocab)])
writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in tokenizer["model"]["merges"]])
writer.add_eos_token_id(config["eos_token_id"])
writer.add_pad_token_id(config["pad_token_id"])
writer.add_bos_token_id(config["eos_token_id"])
writer.add_add_bos_token(False)
writer.add_chat_template(tokenizer_config["chat_template"])

writer.add_tensor("token_embd.weight", random(vocab, hidden))
writer.add_tensor("output_norm.weight", np.ones(hidden, np.float32))
writer.add_tensor("output.weight", random(vocab, hidden))
for layer in range(layers):
    prefix = f"blk.{layer}."
    for norm in ("attn_norm", "ffn_norm"):
        writer.add_tensor(f"{prefix}{norm}.weight", np.ones(hidden, np.float32))
    for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
        writer.add_tensor(f"{prefix}{part}.weight", random(hidden, hidden))
    writer.add_tensor(prefix + "ffn_gate.weight", random(feed_forward, hidden))
    writer.add_tensor(prefix + "ffn_up.weight", random(feed_forward, hidden))
    writer.add_tensor(prefix + "ffn_down.weight", random(hidden, feed_forward))
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
