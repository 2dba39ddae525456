"""How fast PyTorch and transformers do on a GPU what gpu-check measures there (lib/gpuCheck/checkShapes.ts): decoding, and the updates of a step of
GRPO, of Qwen3-0.6B with random weights. `python gpu_speed.py [bf16|tf32]`: bf16 (default) decodes with weights in bf16 and trains float32 weights
under autocast; tf32 does both in float32 with TF32 products. One JSON line for each figure."""
import json
import sys
import time

import torch
import transformers
from transformers import AutoModelForCausalLM, Qwen3Config

transformers.utils.logging.set_verbosity_error()
PRECISION = sys.argv[1] if len(sys.argv) > 1 else 'bf16'
PROMPT, RESPONSE, RESPONSES, UPDATES, MICRO_BATCH = 64, 192, 64, 2, 16
NEW = RESPONSE // 2
SHAPE = dict(
    vocab_size=151936, hidden_size=1024, intermediate_size=3072, num_hidden_layers=28, num_attention_heads=16, num_key_value_heads=8,
    head_dim=128, tie_word_embeddings=True, max_position_embeddings=40960, rope_theta=1000000.0, rms_norm_eps=1e-6,
    bos_token_id=None, eos_token_id=None, pad_token_id=None,
)
torch.manual_seed(0)
torch.backends.cuda.matmul.allow_tf32 = True


def emit(**figures):
    print(json.dumps({'precision': PRECISION, **figures}), flush=True)


def seconds(work, repeats=3):
    """The fastest of a few, after one that is not counted."""
    times = []
    for _ in range(repeats + 1):
        torch.cuda.synchronize()
        started = time.perf_counter()
        work()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    return min(times[1:])


def make(dtype):
    return AutoModelForCausalLM.from_config(Qwen3Config(**SHAPE), dtype=dtype, attn_implementation='sdpa').to('cuda')


def decode():
    model = make(torch.bfloat16 if PRECISION == 'bf16' else torch.float32).eval()
    for batch in (1, RESPONSES):
        ids = torch.randint(5, SHAPE['vocab_size'], (batch, PROMPT), device='cuda')
        mask = torch.ones_like(ids)

        def write(count):
            out = model.generate(ids, attention_mask=mask, max_new_tokens=count, min_new_tokens=count, do_sample=True, top_k=0, pad_token_id=0)
            assert out.shape[1] == PROMPT + count

        took = seconds(lambda: write(NEW)) - seconds(lambda: write(1))
        emit(figure='decoding', batch=batch, tokens_per_second=round(batch * (NEW - 1) / took, 1))


def train():
    model = make(torch.float32).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6, fused=True)
    ids = torch.randint(5, SHAPE['vocab_size'], (RESPONSES, PROMPT + RESPONSE), device='cuda')
    advantages = torch.randn(RESPONSES, 1, device='cuda')

    def update():
        for rows, credit in zip(ids.split(RESPONSES // UPDATES), advantages.split(RESPONSES // UPDATES)):
            for few, their in zip(rows.split(MICRO_BATCH), credit.split(MICRO_BATCH)):
                with torch.autocast('cuda', torch.bfloat16, enabled=PRECISION == 'bf16'):
                    logits = model(few[:, :-1], use_cache=False, logits_to_keep=RESPONSE).logits
                predicted = torch.log_softmax(logits.float(), -1).gather(-1, few[:, -RESPONSE:, None])[..., 0]
                ratio = (predicted - predicted.detach()).exp()
                (-(ratio * their).mean() * len(few) / len(rows)).backward()
            optimizer.step()
            optimizer.zero_grad()

    torch.cuda.reset_peak_memory_stats()
    took = seconds(update)
    emit(
        figure='updates', seconds=round(took, 3), tokens_per_second=round(ids.numel() / took, 1),
        peak_gigabytes=round(torch.cuda.max_memory_allocated() / 1e9, 2),
    )


emit(figure='versions', torch=torch.__version__, transformers=transformers.__version__, gpu=torch.cuda.get_device_name())
decode()
train()
