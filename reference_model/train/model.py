"""A decoder of the Llama family, as reference_model/model/transformer.hpp reads it."""

import dataclasses
import json
import os

import torch
import torch.nn.functional as F
from torch import nn


FIELDS = {  # ours -> config.json's
    "dim": "hidden_size",
    "hidden": "intermediate_size",
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "kv_heads": "num_key_value_heads",
    "head_dim": "head_dim",
    "vocab": "vocab_size",
    "max_positions": "max_position_embeddings",
    "rope_theta": "rope_theta",
    "norm_eps": "rms_norm_eps",
}


@dataclasses.dataclass
class Config:
    dim: int = 128
    layers: int = 4
    heads: int = 8
    kv_heads: int = 4
    head_dim: int = 32
    hidden: int = 352
    vocab: int = 1024
    max_positions: int = 2048
    rope_theta: float = 100000.0
    norm_eps: float = 1e-5

    def hugging_face(self):
        return {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            **{theirs: getattr(self, ours) for ours, theirs in FIELDS.items()},
            "hidden_act": "silu",
            "attention_bias": False,
            "mlp_bias": False,
            "tie_word_embeddings": True,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "torch_dtype": "float16",
        }


class Layer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        self.attention_norm = nn.RMSNorm(c.dim, c.norm_eps)
        self.query = nn.Linear(c.dim, c.heads * c.head_dim, bias=False)
        self.key = nn.Linear(c.dim, c.kv_heads * c.head_dim, bias=False)
        self.value = nn.Linear(c.dim, c.kv_heads * c.head_dim, bias=False)
        self.output = nn.Linear(c.heads * c.head_dim, c.dim, bias=False)
        self.feed_norm = nn.RMSNorm(c.dim, c.norm_eps)
        self.gate = nn.Linear(c.dim, c.hidden, bias=False)
        self.up = nn.Linear(c.dim, c.hidden, bias=False)
        self.down = nn.Linear(c.hidden, c.dim, bias=False)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.down.weight)

    def forward(self, x, cosines, sines):  # x [B, T, dim]; cosines, sines [T, head_dim / 2]
        c = self.c
        batch, length, _ = x.shape
        normed = self.attention_norm(x)
        q = rotate(self.query(normed).view(batch, length, c.heads, c.head_dim), cosines, sines)
        k = rotate(self.key(normed).view(batch, length, c.kv_heads, c.head_dim), cosines, sines)
        v = self.value(normed).view(batch, length, c.kv_heads, c.head_dim)
        group = c.heads // c.kv_heads
        k = k.repeat_interleave(group, dim=2)
        v = v.repeat_interleave(group, dim=2)
        q, k, v = (part.transpose(1, 2) for part in (q, k, v))
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.output(attended.transpose(1, 2).reshape(batch, length, -1))
        normed = self.feed_norm(x)
        return x + self.down(F.silu(self.gate(normed)) * self.up(normed))


class Transformer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        self.embedding = nn.Embedding(c.vocab, c.dim)
        self.layers = nn.ModuleList(Layer(c) for _ in range(c.layers))
        self.final_norm = nn.RMSNorm(c.dim, c.norm_eps)
        nn.init.normal_(self.embedding.weight, std=0.05)
        frequencies = c.rope_theta ** (-torch.arange(0, c.head_dim, 2, dtype=torch.float64) / c.head_dim)
        angles = torch.arange(c.max_positions, dtype=torch.float64)[:, None] * frequencies
        self.register_buffer("cosines", angles.cos().float(), persistent=False)
        self.register_buffer("sines", angles.sin().float(), persistent=False)

    def forward(self, tokens):
        """tokens [B, T] to states [B, T, dim], of which `logits` takes those that are wanted."""
        length = tokens.shape[1]
        x = self.embedding(tokens)
        for layer in self.layers:
            x = layer(x, self.cosines[:length], self.sines[:length])
        return self.final_norm(x)

    def logits(self, states):
        return F.linear(states, self.embedding.weight)


def rotate(x, cosines, sines):
    """x [B, T, heads, D]: pairs (i, i + D/2)."""
    a, b = x.chunk(2, dim=-1)
    cosines, sines = cosines[:, None], sines[:, None]
    return torch.cat((a * cosines - b * sines, a * sines + b * cosines), dim=-1)


NAMES = {
    "attention_norm": "input_layernorm",
    "query": "self_attn.q_proj",
    "key": "self_attn.k_proj",
    "value": "self_attn.v_proj",
    "output": "self_attn.o_proj",
    "feed_norm": "post_attention_layernorm",
    "gate": "mlp.gate_proj",
    "up": "mlp.up_proj",
    "down": "mlp.down_proj",
}


def export(model, folder):
    """Writes config.json and model.safetensors (fp16)."""
    tensors = {"model.embed_tokens.weight": model.embedding.weight, "model.norm.weight": model.final_norm.weight}
    for i, layer in enumerate(model.layers):
        for ours, theirs in NAMES.items():
            tensors[f"model.layers.{i}.{theirs}.weight"] = getattr(layer, ours).weight
    with open(os.path.join(folder, "config.json"), "w") as file:
        json.dump(model.c.hugging_face(), file, indent=2)
        file.write("\n")
    arrays = {name: tensor.detach().half().numpy() for name, tensor in tensors.items()}
    write_safetensors(arrays, os.path.join(folder, "model.safetensors"))


def load(folder):
    """The exported model, so that what is measured is what ships."""
    with open(os.path.join(folder, "config.json")) as file:
        from_file = json.load(file)
    model = Transformer(Config(**{ours: from_file[theirs] for ours, theirs in FIELDS.items()}))
    tensors = read_safetensors(os.path.join(folder, "model.safetensors"))
    with torch.no_grad():
        model.embedding.weight.copy_(tensors["model.embed_tokens.weight"])
        model.final_norm.weight.copy_(tensors["model.norm.weight"])
        for i, layer in enumerate(model.layers):
            for ours, theirs in NAMES.items():
                getattr(layer, ours).weight.copy_(tensors[f"model.layers.{i}.{theirs}.weight"])
    return model


def write_safetensors(arrays, path):
    header, at = {}, 0
    for name, array in arrays.items():
        header[name] = {"dtype": "F16", "shape": list(array.shape), "data_offsets": [at, at + array.nbytes]}
        at += array.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for array in arrays.values():
            file.write(array.tobytes())


def read_safetensors(path):
    with open(path, "rb") as file:
        data = bytearray(file.read())
    size = int.from_bytes(data[:8], "little")
    tensors = {}
    for name, entry in json.loads(bytes(data[8 : 8 + size])).items():
        begin, end = entry["data_offsets"]
        flat = torch.frombuffer(data, dtype=torch.float16, count=(end - begin) // 2, offset=8 + size + begin)
        tensors[name] = flat.view(entry["shape"]).float()
    return tensors
