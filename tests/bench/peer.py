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

torch.set_num_threads(2)
torch.manual_seed(0)
folder, name = sys.argv[1:]
kind, _, size = name.rpartition('-')
kind, size = (kind, int(size)) if size.isdigit() else (name, 0)

# What trains the small decoder in plain PyTorch would not load transformers.
if not kind.endswith('-small'):
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def pretrained(attention='sdpa'):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation=attention).eval()


def some_ids(model, n):
    return torch.tensor([[5 + i * 7919 % (model.config.vocab_size - 5) for i in range(n)]])


def forward():
    model = pretrained()
    ids = some_ids(model, size)

    @torch.no_grad()
    def work():
        return model(ids, use_cache=False).logits

    return work


def statistics():
    """Spans, WAAD (W = 10) and FAI [0, end] and [10, 100] from the attention that the model returns."""
    model = pretrained('eager')
    ids, prompt = some_ids(model, size), size // 4

    @torch.no_grad()
    def work():
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

    return work


def decode():
    model = pretrained()
    ids = some_ids(model, 64).repeat(size, 1)

    def work():
        out = model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=128, min_new_tokens=128, do_sample=False, pad_token_id=2
        )
        assert out.shape[1] == 64 + 128

    return work


def training_step(model, vocabulary, batch, tokens, logits_of):
    """Forward, loss, all gradients, AdamW."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6, weight_decay=0.0)
    ids = torch.randint(0, vocabulary, (batch, tokens + 1))

    def work():
        optimizer.zero_grad(set_to_none=True)
        logits = logits_of(ids[:, :-1])
        torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten()).backward()
        optimizer.step()

    return work


def train_small():
    from peer_decoder import VOCABULARY, Decoder

    model = Decoder()
    return training_step(model, VOCABULARY, 64, 128, model)


def train_smollm2():
    model = pretrained().train()
    return training_step(model, model.config.vocab_size, 4, 256, lambda ids: model(ids, use_cache=False).logits)


def sample_small():
    from peer_decoder import VOCABULARY, Decoder

    model = Decoder().eval()
    prompts = torch.randint(0, VOCABULARY, (64, 32))
    return lambda: model.sample(prompts, 64)


# Name: what prepares the work, repetitions, warm-ups, as in workloads.ts.
works = {
    'forward': (forward, 1 if size >= 2048 else 3, 0 if size >= 8192 else 1),
    'statistics': (statistics, 1 if size >= 2048 else 3, 1),
    'decode': (decode, 1, 1),
    'train-small': (train_small, 5, 2),
    'train-smollm2': (train_smollm2, 3, 1),
    'sample-small': (sample_small, 5, 1),
}
if kind == 'load':
    start = time.perf_counter()
    pretrained()
    seconds = [time.perf_counter() - start]
    cpu_seconds = None
else:
    prepare, repetitions, warm_ups = works[kind]
    work = prepare()
    for _ in range(warm_ups):
        work()
    seconds = []
    cpu_before = time.process_time()
    for _ in range(repetitions):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    cpu_seconds = (time.process_time() - cpu_before) / repetitions
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
median = sorted(seconds)[len(seconds) // 2]
print(json.dumps({'name': name, 'seconds': median, 'cpuSeconds': cpu_seconds, 'peakMegabytes': peak, 'torch': torch.__version__}))
