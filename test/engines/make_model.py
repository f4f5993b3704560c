"""Write a tiny, randomly initialised Llama (and LoRA adapters for it) that a real engine can serve.

usage: make_model.py OUT_DIR [--weights] [--adapters sql-lora,chat-lora]

The tokenizer is a byte-level BPE trained on the Python standard library's own sources, present wherever Python is, so
that nothing is downloaded and any input can be encoded. Equal sources give an equal tokenizer; weights have a fixed
seed. Without --weights and --adapters only `tokenizers` is needed, else also torch and safetensors.
"""
import argparse, json, os, sysconfig

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

parser = argparse.ArgumentParser()
parser.add_argument("out")
parser.add_argument("--vocab", type=int, default=4096)
parser.add_argument("--weights", action="store_true")
parser.add_argument("--adapters", default="")
args = parser.parse_args()
os.makedirs(args.out, exist_ok=True)

HIDDEN, LAYERS, HEADS, FEED_FORWARD, MAX_LENGTH, RANK = 128, 2, 4, 256, 8192, 8

stdlib = sysconfig.get_paths()["stdlib"]
files = [os.path.join(stdlib, name) for name in sorted(os.listdir(stdlib)) if name.endswith(".py")][:200]

special = ["<|end|>", "<|pad|>", "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>"]
tokenizer = Tokenizer(models.BPE())
tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
tokenizer.decoder = decoders.ByteLevel()
tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
tokenizer.train(files, trainers.BpeTrainer(vocab_size=args.vocab, special_tokens=special, show_progress=False,
                                           initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
tokenizer.save(os.path.join(args.out, "tokenizer.json"))
vocab = tokenizer.get_vocab_size()
end, pad = tokenizer.token_to_id("<|end|>"), tokenizer.token_to_id("<|pad|>")

TEMPLATE = ("{% for m in messages %}<|{{ m['role'] }}|>"
            "{% if m['content'] is string %}{{ m['content'] }}"
            "{% elif m['content'] %}{% for p in m['content'] %}{{ p.get('text', '') }}{% endfor %}{% endif %}"
            "<|end|>{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}")


def dump(name, value, where=args.out):
    with open(os.path.join(where, name), "w") as file:
        json.dump(value, file, indent=1)


dump("tokenizer_config.json", {
    "tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|end|>", "pad_token": "<|pad|>",
    "model_max_length": MAX_LENGTH, "clean_up_tokenization_spaces": False, "chat_template": TEMPLATE})
dump("special_tokens_map.json", {"eos_token": "<|end|>", "pad_token": "<|pad|>"})
dump("config.json", {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": HIDDEN,
    "intermediate_size": FEED_FORWARD, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
    "num_key_value_heads": HEADS, "head_dim": HIDDEN // HEADS, "vocab_size": vocab,
    "max_position_embeddings": MAX_LENGTH, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu",
    "tie_word_embeddings": False, "attention_bias": False, "mlp_bias": False, "bos_token_id": None,
    "eos_token_id": end, "pad_token_id": pad, "torch_dtype": "bfloat16", "use_cache": True})
dump("generation_config.json", {"eos_token_id": end, "pad_token_id": pad})

adapters = [name for name in args.adapters.split(",") if name]
if not (args.weights or adapters):
    raise SystemExit(0)

import torch
from safetensors.torch import save_file

torch.manual_seed(1)


def random(*shape):
    return (torch.randn(*shape) * 0.05).to(torch.bfloat16).contiguous()


def ones():
    return torch.ones(HIDDEN, dtype=torch.bfloat16)


if args.weights:
    tensors = {"model.embed_tokens.weight": random(vocab, HIDDEN), "model.norm.weight": ones(),
               "lm_head.weight": random(vocab, HIDDEN)}
    for layer in range(LAYERS):
        prefix = f"model.layers.{layer}."
        tensors |= {prefix + f"{norm}.weight": ones() for norm in ("input_layernorm", "post_attention_layernorm")}
        tensors |= {prefix + f"self_attn.{part}_proj.weight": random(HIDDEN, HIDDEN) for part in "qkvo"}
        tensors |= {prefix + f"mlp.{part}_proj.weight": random(FEED_FORWARD, HIDDEN) for part in ("gate", "up")}
        tensors[prefix + "mlp.down_proj.weight"] = random(HIDDEN, FEED_FORWARD)
    save_file(tensors, os.path.join(args.out, "model.safetensors"), metadata={"format": "pt"})

for name in adapters:
    where = os.path.join(args.out, "adapters", name)
    os.makedirs(where, exist_ok=True)
    dump("adapter_config.json", {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": "tiny", "r": RANK, "lora_alpha": 16,
        "lora_dropout": 0.0, "bias": "none", "target_modules": ["q_proj", "v_proj"], "fan_in_fan_out": False,
        "inference_mode": True}, where)
    tensors = {}
    for layer in range(LAYERS):
        for module in ("q_proj", "v_proj"):
            prefix = f"base_model.model.model.layers.{layer}.self_attn.{module}."
            tensors[prefix + "lora_A.weight"] = random(RANK, HIDDEN)
            tensors[prefix + "lora_B.weight"] = random(HIDDEN, RANK)
    save_file(tensors, os.path.join(where, "adapter_model.safetensors"), metadata={"format": "pt"})
