"""A Llama-like decoder in plain PyTorch, as one would write it to train from scratch: 256 wide, 6 layers, 8 heads, FFN 683, 64 tokens."""
import torch
from torch import nn
from torch.nn import functional as F

WIDTH, LAYERS, HEADS, FFN, VOCABULARY, CONTEXT = 256, 6, 8, 683, 64, 160
HEAD_WIDTH = WIDTH // HEADS


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.input_norm, self.mlp_norm = nn.RMSNorm(WIDTH), nn.RMSNorm(WIDTH)
        self.query_key_value = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.output = nn.Linear(WIDTH, WIDTH, bias=False)
        self.gate, self.up = nn.Linear(WIDTH, FFN, bias=False), nn.Linear(WIDTH, FFN, bias=False)
        self.down = nn.Linear(FFN, WIDTH, bias=False)

    def forward(self, x, cos, sin, cache, position):
        batch, tokens, _ = x.shape
        heads = self.query_key_value(self.input_norm(x)).view(batch, tokens, 3, HEADS, HEAD_WIDTH)
        q, k, v = heads.permute(2, 0, 3, 1, 4)
        q, k = rotated(q, cos, sin), rotated(k, cos, sin)
        if cache is not None:
            end = position + tokens
            for held, new in zip(cache, (k, v)):
                held[:, :, position:end] = new
            k, v = (held[:, :, :end] for held in cache)
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=tokens > 1)
        x = x + self.output(attended.transpose(1, 2).reshape(batch, tokens, WIDTH))
        normed = self.mlp_norm(x)
        return x + self.down(F.silu(self.gate(normed)) * self.up(normed))


def rotated(x, cos, sin):
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], -1) * sin


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
        self.norm = nn.RMSNorm(WIDTH)
        self.head = nn.Linear(WIDTH, VOCABULARY, bias=False)
        angles = torch.outer(torch.arange(CONTEXT), 10000.0 ** (-torch.arange(0, HEAD_WIDTH, 2) / HEAD_WIDTH)).repeat(1, 2)
        self.register_buffer('cos', angles.cos())
        self.register_buffer('sin', angles.sin())

    def forward(self, ids, caches=None, position=0):
        end = position + ids.shape[1]
        x = self.embedding(ids)
        for i, layer in enumerate(self.layers):
            x = layer(x, self.cos[position:end], self.sin[position:end], caches[i] if caches else None, position)
        return self.head(self.norm(x))

    @torch.no_grad()
    def sample(self, ids, tokens):
        """`tokens` sampled tokens for each row of `ids`, with a cache of keys and values."""
        batch, position = ids.shape
        empty = lambda: torch.zeros(batch, HEADS, position + tokens, HEAD_WIDTH)
        caches = [(empty(), empty()) for _ in range(LAYERS)]
        logits = self(ids, caches)[:, -1]
        written = []
        while True:
            written.append(torch.multinomial(logits.softmax(-1), 1))
            if len(written) == tokens:
                return torch.cat(written, 1)
            logits = self(written[-1], caches, position)[:, -1]
            position += 1
