"""The work of workloads.ts in PyTorch and transformers, one piece a process: peer.py MODEL NAME. Prints one JSON line."""
import os

# GNU OpenMP's spinning makes PyTorch several times slower on a busy machine.
os.environ.setdefault('OMP_WAIT_POLICY', 'passive')
import json
import resource
import sys
import time
import warnings

warnings.filterwarnings('ignore')
import torch
from transformers import AutoModelForCausalLM
from transformers.utils import logging

logging.set_verbosity_error()
logging.disable_progress_bar()
torch.set_num_threads(2)
folder, name = sys.argv[1:]
kind, size = (name.rsplit('-', 1) + ['0'])[:2] if '-' in name else (name, '0')
size = int(size)
begun = time.perf_counter()
attention = 'eager' if kind == 'statistics' else 'sdpa'
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation=attention).eval()
load = time.perf_counter() - begun


def some_ids(n):
    return torch.tensor([[5 + i * 7919 % (model.config.vocab_size - 5) for i in range(n)]])


def forward():
    return model(some_ids(size), use_cache=False).logits


def statistics():
    """Spans, WAAD (W = 10) and FAI [0, end] and [10, 100] from the attention that the model returns."""
    ids, prompt = some_ids(size), size // 4
    attentions = model(ids, use_cache=False, output_attentions=True).attentions
    t, s = torch.arange(size)[:, None], torch.arange(size)[None]
    distance = (t - s).clamp(min=0).float()
    spans = torch.stack([(a[0, :, prompt:] * distance[prompt:]).sum(-1).mean(-1) for a in attentions])
    layers, heads = spans.shape
    order, count = spans.flatten().argsort().tolist(), -(-3 * layers * heads // 10)
    local = sum(attentions[i // heads][0, i % heads] for i in order[:count]) / count
    global_ = sum(attentions[i // heads][0, i % heads] for i in order[-count:]) / count
    waad = (local * distance.clamp(max=10))[prompt:].sum(-1)
    fai = []
    for low, high in ((0, size), (10, 100)):
        seen = ((t >= s + low) & (t <= s + high) & (t >= prompt)).float()
        fai.append(((global_ * seen).sum(0) / seen.sum(0).clamp(min=1))[prompt:])
    return waad, fai


def decode():
    ids = some_ids(64).repeat(size, 1)
    out = model.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=128, min_new_tokens=128, do_sample=False, pad_token_id=2
    )
    assert out.shape[1] == 64 + 128


result = {'seconds': load}
if kind != 'load':
    work = {'forward': forward, 'statistics': statistics, 'decode': decode}[kind]
    seconds = []
    with torch.no_grad():
        if size < 8192:
            work()
        for _ in range(1 if size >= 2048 or kind == 'decode' else 3):
            start = time.perf_counter()
            work()
            seconds.append(time.perf_counter() - start)
    result = {'seconds': sorted(seconds)[len(seconds) // 2]}
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({'name': name, **result, 'peakMegabytes': peak, 'torch': torch.__version__}))
