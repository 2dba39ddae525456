"""What transformers does in transformers.ts: `make FOLDER` or `logits FOLDER`. Ids are in FOLDER/ids.json, logits go to FOLDER/logits.f32."""
import json
import sys
import warnings
from pathlib import Path

warnings.filterwarnings('ignore')
import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

logging.set_verbosity_error()
logging.disable_progress_bar()
torch.manual_seed(0)

SHAPE = dict(
    vocab_size=97, hidden_size=48, intermediate_size=80, num_hidden_layers=3, num_attention_heads=6, num_key_value_heads=2,
    max_position_embeddings=64, bos_token_id=1, eos_token_id=2, pad_token_id=2,
)
CONFIGS = {
    'llama': lambda: transformers.LlamaConfig(**SHAPE, tie_word_embeddings=False, rms_norm_eps=1e-5),
    'qwen2': lambda: transformers.Qwen2Config(**SHAPE, tie_word_embeddings=True),
    'qwen3': lambda: transformers.Qwen3Config(**SHAPE, head_dim=16, tie_word_embeddings=True),
}


def write_logits(model, folder, ids):
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0].float()
    logits.numpy().tofile(folder / 'logits.f32')


def make(folder):
    """Tiny models of each architecture with random weights, norms and biases included, in FOLDER/NAME."""
    for name, config in CONFIGS.items():
        model = AutoModelForCausalLM.from_config(config()).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.1)
        model.save_pretrained(folder / name)
        ids = torch.randint(0, SHAPE['vocab_size'], (40,)).tolist()
        (folder / name / 'ids.json').write_text(json.dumps(ids))
        write_logits(model, folder / name, ids)
    print(json.dumps({'names': list(CONFIGS), 'transformers': transformers.__version__, 'torch': torch.__version__}))


def logits(folder):
    """Logits of a model folder that was made elsewhere, and the ids that its tokenizer gives FOLDER/text.txt."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    write_logits(model, folder, json.loads((folder / 'ids.json').read_text()))
    ids = AutoTokenizer.from_pretrained(folder)((folder / 'text.txt').read_text(), add_special_tokens=False)['input_ids']
    print(json.dumps({'class': type(model).__name__, 'ids': ids}))


{'make': make, 'logits': logits}[sys.argv[1]](Path(sys.argv[2]))
