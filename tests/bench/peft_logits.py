"""Opens adapters with peft: logits of BASE with ADAPTERS for ids on stdin, as JSON; saves them again, as peft does, to AGAIN."""

import json
import sys

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

base, adapters, again = sys.argv[1:4]
model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, attn_implementation="eager")
model = PeftModel.from_pretrained(model, adapters).eval()
ids = torch.tensor([json.load(sys.stdin)])
with torch.no_grad():
    adapted = model(ids).logits[0]
    merged = model.merge_and_unload()(ids).logits[0]
fresh = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
PeftModel.from_pretrained(fresh, adapters).save_pretrained(again)
print(json.dumps({"adapted": adapted.tolist(), "merged": merged.tolist()}))
