"""llama.cpp's own server of a Llama of random weights, whose tokens are bytes: `random_llama.py FILE PORT KEY`."""

import sys
import time

import gguf
import numpy as np
import xllamacpp

WIDTH, HIDDEN, LAYERS, HEADS, SHARED = 32, 64, 2, 4, 2
TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant: "
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6

path, port, key = sys.argv[1:]
writer = gguf.GGUFWriter(path, "llama")
random = np.random.default_rng(0)
# The bytes of ASCII's controls and of half characters are left out, so that every answer is a text.
letters = [chr(code).encode() for code in range(32, 127)]
tokens = [b"<unk>", b"<s>", b"</s>", *(b"<0x%02X>" % code for code in range(256)), *letters]
kinds = [UNKNOWN, CONTROL, CONTROL] + [BYTE] * 256 + [NORMAL] * len(letters)
writer.add_context_length(512)
writer.add_embedding_length(WIDTH)
writer.add_block_count(LAYERS)
writer.add_feed_forward_length(HIDDEN)
writer.add_head_count(HEADS)
writer.add_head_count_kv(SHARED)
writer.add_layer_norm_rms_eps(1e-5)
writer.add_rope_dimension_count(WIDTH // HEADS)
writer.add_vocab_size(len(tokens))
writer.add_tokenizer_model("llama")
writer.add_token_list(tokens)
writer.add_token_scores([0.0] * len(tokens))
writer.add_token_types(kinds)
writer.add_bos_token_id(1)
writer.add_eos_token_id(2)
writer.add_unk_token_id(0)
writer.add_file_type(0)
writer.add_chat_template(TEMPLATE)


def add(name: str, *shape: int) -> None:
    writer.add_tensor(f"{name}.weight", random.normal(0, 0.3, shape).astype(np.float32))


def add_ones(name: str) -> None:
    writer.add_tensor(f"{name}.weight", np.ones(WIDTH, np.float32))


add("token_embd", len(tokens), WIDTH)
add("output", len(tokens), WIDTH)
add_ones("output_norm")
for layer in range(LAYERS):
    add_ones(f"blk.{layer}.attn_norm")
    add_ones(f"blk.{layer}.ffn_norm")
    add(f"blk.{layer}.attn_q", WIDTH, WIDTH)
    add(f"blk.{layer}.attn_k", WIDTH * SHARED // HEADS, WIDTH)
    add(f"blk.{layer}.attn_v", WIDTH * SHARED // HEADS, WIDTH)
    add(f"blk.{layer}.attn_output", WIDTH, WIDTH)
    add(f"blk.{layer}.ffn_gate", HIDDEN, WIDTH)
    add(f"blk.{layer}.ffn_up", HIDDEN, WIDTH)
    add(f"blk.{layer}.ffn_down", WIDTH, HIDDEN)
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()

told = xllamacpp.CommonParams()
told.model.path = path
told.port = int(port)
told.hostnames = ["127.0.0.1"]
told.n_ctx = 4096
told.n_parallel = 8
told.embedding = True
told.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
told.api_keys = [key]
server = xllamacpp.Server(told)
while True:
    time.sleep(60)
